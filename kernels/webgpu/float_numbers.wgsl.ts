/** WGSL that turns the words of a chunk into numbers, four at a time, where codes are small floats (float_numbers.ts). */
import {FLOAT_FORMATS, type FloatFormat} from '../float_codes.js';
import {type Dialect, floatNumbersFunction, placesOf} from '../float_numbers.js';
import type {FloatType, WeightLayout} from '../layout.js';
import type {Flagged, Numbers, Words} from './numbers.wgsl.js';

/** What is set in `flags` where a code of the word is NaN. */
export const NAN_FLAGS = '0x80808080u';

/** All weights 1. */
export const UNWEIGHTED = {period: 0, weight: () => 0, lift: () => 0, flagged: null} as const;

const WGSL: Dialect = {
  uint4: 'vec4<u32>',
  float4: 'vec4<f32>',
  declare: (_, name, text) => `let ${name} = ${text};`,
  define: (name, body) => `fn ${name}(a: u32, b: u32) -> vec4<f32> {\n  ${body}\n}\n`,
  floats: 'bitcast<vec4<f32>>',
  bits: 'bitcast<vec4<u32>>',
  oneBits: 'bitcast<u32>',
  convert: (text) => `f32(bitcast<i32>(${text}))`,
  atLeast: (v, least, bits) => `select(vec4<u32>(), vec4<u32>(${bits}u), ${v} >= vec4<f32>(${least}.0))`,
  equal: (v, value, bits) => `select(vec4<u32>(), vec4<u32>(${bits}u), ${v} == vec4<u32>(${value}u))`,
};

/** Of a word of four codes. fn: magnitude 127 and 1 carry into the sign's place. fnuz: a byte that is 128, by the test for a zero byte. */
function flagsOf(special: FloatFormat['special'], word: string): string {
  if (special === 'fn') return `(${word} & 0x7f7f7f7fu) + 0x01010101u`;
  return `((${word} ^ ${NAN_FLAGS}) - 0x01010101u) & ~(${word} ^ ${NAN_FLAGS})`;
}

export function floatNumbers(layout: WeightLayout, type: FloatType): Numbers {
  const width = layout.planes[0] as number;
  if (type === 'float32') {
    const expression = (i: number, words: Words) =>
      `bitcast<vec4<f32>>(vec4<u32>(${[0, 1, 2, 3].map((c) => words(0, 4 * i + c)).join(', ')}))`;
    return {...UNWEIGHTED, functions: '', expression};
  }
  const format = FLOAT_FORMATS[type];
  const vectors = width === 4 ? 2 : 1;
  const call = (name: string) => (i: number, words: Words) => {
    const [a, b] = width === 16 ? [words(0, 2 * i), words(0, 2 * i + 1)] : [words(0, Math.floor(i / vectors)), '0u'];
    return `${name}_${i % vectors}(${a}, ${b})`;
  };
  const make = (name: string, withNaN: boolean) =>
    [...Array(vectors).keys()].map((v) => floatNumbersFunction(`${name}_${v}`, format, placesOf(width, v), withNaN, WGSL)).join('');
  const tells = width === 8 && (format.special === 'fn' || format.special === 'fnuz');
  const flagged: Flagged | null = tells ? {expression: call('finite'), flags: (i, words) => flagsOf(format.special, words(0, i))} : null;
  return {...UNWEIGHTED, functions: make('numbers', true) + (tells ? make('finite', false) : ''), expression: call('numbers'), flagged};
}
