/** GLSL that turns words of small floats into numbers, four at a time (float_numbers.ts). */
import {FLOAT_FORMATS} from '../../float_codes.js';
import {type Dialect, floatNumbersFunction, placesOf} from '../../float_numbers.js';
import type {FloatType} from '../../layout.js';

const GLSL: Dialect = {
  uint4: 'uvec4',
  float4: 'vec4',
  declare: (type, name, text) => `${type === 'uint4' ? 'uvec4' : 'vec4'} ${name} = ${text};`,
  define: (name, body) => `vec4 ${name}(uint a, uint b) {\n  ${body}\n}\n`,
  floats: 'uintBitsToFloat',
  bits: 'floatBitsToUint',
  oneBits: 'floatBitsToUint',
  convert: (text) => `float(int(${text}))`,
  // GLSL ES 3.00 mixes floats only.
  atLeast: (v, least, bits) => `(uvec4(greaterThanEqual(${v}, vec4(${least}.0))) * ${bits}u)`,
  equal: (v, value, bits) => `(uvec4(equal(${v}, uvec4(${value}u))) * ${bits}u)`,
};

/** Vectors of four codes in a word; 4-bit codes have two. */
const vectorsOf = (bits: number) => (bits === 4 ? 2 : 1);

/** The functions that `floatNumbers` calls. */
export function floatNumbersFunctions(type: FloatType): string {
  if (type === 'float32') return '';
  const format = FLOAT_FORMATS[type];
  return [...Array(vectorsOf(format.bits)).keys()]
    .map((v) => floatNumbersFunction(`numbers_${v}`, format, placesOf(format.bits, v), true, GLSL))
    .join('');
}

/** The vec4 of numbers of codes 4v..4v+3 of a run; `word(bit)` is its word that holds that bit. */
export function floatNumbers(type: FloatType, v: number, word: (bit: number) => string): string {
  if (type === 'float32') return `uintBitsToFloat(uvec4(${[0, 1, 2, 3].map((c) => word((4 * v + c) * 32)).join(', ')}))`;
  const {bits} = FLOAT_FORMATS[type];
  return `numbers_${v % vectorsOf(bits)}(${word(4 * v * bits)}, ${bits === 16 ? word(4 * v * bits + 32) : '0u'})`;
}
