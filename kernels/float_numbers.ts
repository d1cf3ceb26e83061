/**
 * Shader text that turns words of small floats into numbers, four at a time: each code's exponent is put where float32 has it. Built of integers and
 * normal numbers, as shaders may flush subnormals. Products stand for shifts, and |t| for a minimum, which are slow where shaders run on a CPU:
 * there a vector is shifted lane by lane, and a float minimum looks for NaN. On a GPU one costs what the other does.
 */
import type {FloatFormat} from './float_codes.js';

/** How a shading language says it. */
export interface Dialect {
  /** Names of types. */
  readonly uint4: string;
  readonly float4: string;
  /** Declares a value. */
  declare(type: 'uint4' | 'float4', name: string, text: string): string;
  /** A function of two words to four numbers. */
  define(name: string, body: string): string;
  /** Bits of a uint4 read as float4, and the other way; of one float. */
  readonly floats: string;
  readonly bits: string;
  readonly oneBits: string;
  /** A uint below 2^31 as a float. */
  convert(text: string): string;
  /** Where float4 `v` is at least `least`, all of `bits`; elsewhere 0. */
  atLeast(v: string, least: number, bits: number): string;
  /** Where uint4 `v` is `value`, all of `bits`; elsewhere 0. */
  equal(v: string, value: number, bits: number): string;
}

export const NAN_BITS = 0x7fc00000;
export const INFINITY_BITS = 0x7f800000;

const COLUMNS = [0, 1, 2, 3];

/** Where a vector's four codes lie: the word, `a` or `b`, and the lowest bit in it. */
export interface Place {
  readonly word: 'a' | 'b';
  readonly low: number;
}

/** `v` tells vectors of a word apart: 4-bit codes have two. */
export const placesOf = (width: number, v: number): Place[] =>
  COLUMNS.map((c) => (width === 16 ? {word: c < 2 ? 'a' : 'b', low: (c % 2) * 16} : {word: 'a', low: (4 * v + c) * width}));

/** A code as a normal number of float32 without its sign: the mantissa below bit 23, the exponent's bias made float32's. */
function magnitude({word, low}: Place, {bits, mantissaBits, bias}: FloatFormat, d: Dialect): string {
  const up = 23 - mantissaBits;
  const mask = 2 ** (bits - 1) - 1;
  const rebias = (127 - bias) * 2 ** mantissaBits;
  if (low <= up) return `((${word} * ${2 ** (up - low)}u) & ${mask * 2 ** up}u) + ${rebias * 2 ** up}u`;
  // Too far up: added to a float whose last place is the code's lowest bit, it comes to lie in the lowest bits.
  const moved = `${d.convert(`${word} & ${mask * 2 ** low}u`)} + ${2 ** (23 + low) + rebias * 2 ** low}.0`;
  return `${d.oneBits}(${moved}) * ${2 ** up}u`;
}

/** The same of four codes of a byte: the first and the third go together, as halves of a word, half of the way. */
function byteMagnitudes(places: readonly Place[], format: FloatFormat, d: Dialect): string[] {
  const {mantissaBits, bias} = format;
  const pair = `((a & 0x7f007fu) * ${2 ** (7 - mantissaBits)}u + ${(127 - bias) * 2 ** 7 * 0x10001}u)`;
  return places.map((place, c) => (c === 0 ? `${pair} * 65536u` : c === 2 ? `${pair} & 0xffff0000u` : magnitude(place, format, d)));
}

const sign = ({word, low}: Place, bits: number) => (low + bits === 32 ? word : `${word} * ${2 ** (32 - bits - low)}u`);

/**
 * Four codes of a word, or of two, to numbers. A subnormal read as if it were normal is v = 2^-bias * (1 + m), and 2v - 2^(1 - bias) is what it stands
 * for: v + 2 min(t, 0) with t = (v - 2^(1 - bias)) / 2. All steps are exact.
 * @param withNaN whether codes of NaN give NaN, or anything; those of formats with infinities always do
 */
export function floatNumbersFunction(name: string, format: FloatFormat, places: readonly Place[], withNaN: boolean, d: Dialect): string {
  const {bits, exponentBits, mantissaBits, bias, special} = format;
  const four = (text: (place: Place) => string) => `${d.uint4}(${places.map(text).join(', ')})`;
  if (bias === 127) {
    // bfloat16 is the upper half of float32.
    return d.define(name, `return ${d.floats}(${four(({word, low}) => (low === 16 ? `${word} & 0xffff0000u` : `${word} * 65536u`))});`);
  }
  const magnitudes = bits === 8 ? byteMagnitudes(places, format, d) : places.map((place) => magnitude(place, format, d));
  const lines = [
    d.declare('float4', 'v', `${d.floats}(${d.uint4}(${magnitudes.join(', ')}))`),
    d.declare('uint4', 'signs', `${four((place) => sign(place, bits))} & ${d.uint4}(0x80000000u)`),
    d.declare('float4', 't', `v * 0.5 - ${d.float4}(${powerText(-bias)})`),
    d.declare('uint4', 'out4', `${d.bits}(v + (t - abs(t)))`),
  ];
  let result = 'out4 | signs';
  if (special === 'ieee') result += ` | ${d.atLeast('v', 2 ** (2 ** exponentBits - 1 - bias), INFINITY_BITS)}`;
  // All ones: the largest of the top binade.
  const largest = 2 ** (2 ** exponentBits - 1 - bias) * (2 - 2 ** -mantissaBits);
  if (special === 'fn' && withNaN) result += ` | ${d.atLeast('v', largest, NAN_BITS)}`;
  if (special === 'fnuz' && withNaN) result += ` | ${d.equal('(out4 | signs)', 0x80000000, NAN_BITS)}`;
  lines.push(`return ${d.floats}(${result});`);
  return d.define(name, lines.join('\n  '));
}

/** 2^exponent, all of its digits. */
function powerText(exponent: number): string {
  const text = String(2 ** exponent);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
