/**
 * WGSL that turns the words of a chunk into numbers, four at a time, where codes are small floats: each code's exponent is put where
 * float32 has it. Products stand for shifts, and |t| for a minimum, which are slow where shaders run on a CPU: there a vector is
 * shifted lane by lane, and a float minimum looks for NaN. On a GPU one costs what the other does.
 */
import {FLOAT_FORMATS, type FloatFormat} from '../float_codes.js';
import type {FloatType, WeightLayout} from '../layout.js';
import {INFINITY, NAN, powerOfTwo} from './float_bits.wgsl.js';
import type {Flagged, Numbers, Words} from './numbers.wgsl.js';

/** What is set in `flags` where a code of the word is NaN. */
export const NAN_FLAGS = '0x80808080u';

/** All weights 1. */
export const UNWEIGHTED = {period: 0, weight: () => 0, lift: () => 0, flagged: null} as const;

const COLUMNS = [0, 1, 2, 3];
const four = (text: (c: number) => string) => `vec4<u32>(${COLUMNS.map(text).join(', ')})`;

/** Where a vector's four codes lie: the word, `a` or `b`, and the lowest bit in it. */
interface Place {
  readonly word: 'a' | 'b';
  readonly low: number;
}

/** `v` tells vectors of a word apart: 4-bit codes have two. */
const placesOf = (width: number, v: number): Place[] =>
  COLUMNS.map((c) => (width === 16 ? {word: c < 2 ? 'a' : 'b', low: (c % 2) * 16} : {word: 'a', low: (4 * v + c) * width}));

/** A code as a normal number of float32 without its sign: the mantissa below bit 23, the exponent's bias made float32's. */
function magnitude({word, low}: Place, {bits, mantissaBits, bias}: FloatFormat): string {
  const up = 23 - mantissaBits;
  const mask = 2 ** (bits - 1) - 1;
  const rebias = (127 - bias) * 2 ** mantissaBits;
  if (low <= up) return `((${word} * ${2 ** (up - low)}u) & ${mask * 2 ** up}u) + ${rebias * 2 ** up}u`;
  // Too far up: added to a float whose last place is the code's lowest bit, it comes to lie in the lowest bits.
  return `bitcast<u32>(f32(bitcast<i32>(${word} & ${mask * 2 ** low}u)) + ${2 ** (23 + low) + rebias * 2 ** low}.0) * ${2 ** up}u`;
}

/** The same of four codes of a byte: the first and the third go together, as halves of a word, half of the way. */
function byteMagnitudes(places: readonly Place[], format: FloatFormat): string[] {
  const {mantissaBits, bias} = format;
  const pair = `((a & 0x7f007fu) * ${2 ** (7 - mantissaBits)}u + ${(127 - bias) * 2 ** 7 * 0x10001}u)`;
  return places.map((place, c) => (c === 0 ? `${pair} * 65536u` : c === 2 ? `${pair} & 0xffff0000u` : magnitude(place, format)));
}

const sign = ({word, low}: Place, bits: number) => (low + bits === 32 ? word : `${word} * ${2 ** (32 - bits - low)}u`);

/**
 * `fn NAME(a: u32, b: u32) -> vec4<f32>`: four codes of a word, or of two. A subnormal read as if it were normal is
 * v = 2^-bias * (1 + m), and 2v - 2^(1 - bias) is what it stands for: v + 2 min(t, 0) with t = (v - 2^(1 - bias)) / 2. All steps are exact.
 */
function numbersFunction(name: string, format: FloatFormat, places: readonly Place[], withNaN: boolean): string {
  const {bits, exponentBits, mantissaBits, bias, special} = format;
  const magnitudes = bits === 8 ? byteMagnitudes(places, format) : places.map((place) => magnitude(place, format));
  const lines = [
    `let v = bitcast<vec4<f32>>(vec4<u32>(${magnitudes.join(', ')}));`,
    `let sign = ${four((c) => sign(places[c] as Place, bits))} & vec4<u32>(0x80000000u);`,
    `let t = v * 0.5 - vec4<f32>(${powerOfTwo(-bias)});`,
    'var out = bitcast<vec4<u32>>(v + (t - abs(t)));',
  ];
  const where = (bitsSet: string, condition: string) => `out |= select(vec4<u32>(), vec4<u32>(${bitsSet}), ${condition});`;
  if (special === 'ieee') lines.push(where(INFINITY, `v >= vec4<f32>(${powerOfTwo(2 ** exponentBits - 1 - bias)})`));
  // All ones: the largest of the top binade.
  const largest = 2 ** (2 ** exponentBits - 1 - bias) * (2 - 2 ** -mantissaBits);
  if (special === 'fn' && withNaN) lines.push(where(NAN, `v >= vec4<f32>(${largest}.0)`));
  if (special === 'fnuz' && withNaN) lines.push(where(NAN, '(out | sign) == vec4<u32>(0x80000000u)'));
  lines.push('return bitcast<vec4<f32>>(out | sign);');
  return `fn ${name}(a: u32, b: u32) -> vec4<f32> {\n  ${lines.join('\n  ')}\n}\n`;
}

/** bfloat16 is the upper half of float32. */
const BFLOAT16 = `fn numbers_0(a: u32, b: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(a * 65536u, a & 0xffff0000u, b * 65536u, b & 0xffff0000u));
}
`;

/** Of a word of four codes. fn: magnitude 127 and 1 carry into the sign's place. fnuz: a byte that is 128, by the test for a zero byte. */
function flagsOf(special: FloatFormat['special'], word: string): string {
  if (special === 'fn') return `(${word} & 0x7f7f7f7fu) + 0x01010101u`;
  return `((${word} ^ ${NAN_FLAGS}) - 0x01010101u) & ~(${word} ^ ${NAN_FLAGS})`;
}

export function floatNumbers(layout: WeightLayout, type: FloatType): Numbers {
  const width = layout.planes[0] as number;
  if (type === 'float32') {
    const expression = (i: number, words: Words) => `bitcast<vec4<f32>>(${four((c) => words(0, 4 * i + c))})`;
    return {...UNWEIGHTED, functions: '', expression};
  }
  const format = FLOAT_FORMATS[type];
  const vectors = width === 4 ? 2 : 1;
  const call = (name: string) => (i: number, words: Words) => {
    const [a, b] = width === 16 ? [words(0, 2 * i), words(0, 2 * i + 1)] : [words(0, Math.floor(i / vectors)), '0u'];
    return `${name}_${i % vectors}(${a}, ${b})`;
  };
  if (type === 'bfloat16') return {...UNWEIGHTED, functions: BFLOAT16, expression: call('numbers')};
  const make = (name: string, withNaN: boolean) =>
    [...Array(vectors).keys()].map((v) => numbersFunction(`${name}_${v}`, format, placesOf(width, v), withNaN)).join('');
  const tells = width === 8 && (format.special === 'fn' || format.special === 'fnuz');
  const flagged: Flagged | null = tells ? {expression: call('finite'), flags: (i, words) => flagsOf(format.special, words(0, i))} : null;
  return {...UNWEIGHTED, functions: make('numbers', true) + (tells ? make('finite', false) : ''), expression: call('numbers'), flagged};
}
