/**
 * GLSL that turns small floats into the bits of float32, exactly, for every code. Built from integers: shaders may flush
 * subnormals, so no float here is ever subnormal.
 */
import {FLOAT_FORMATS, type FloatFormat} from '../../float_codes.js';
import type {FloatType, LevelType} from '../../layout.js';

const NAN = 0x7fc00000;
const INFINITY = 0x7f800000;

/** GLSL ES has no hexadecimal floats: 2^exponent by its bits. */
function powerOfTwo(exponent: number): string {
  return `uintBitsToFloat(${(exponent + 127) * 2 ** 23}u)`;
}

type Lanes = 1 | 4;

/** An unsigned literal of so many lanes. */
function literal(lanes: Lanes, value: number): string {
  return lanes === 1 ? `${value}u` : `uvec4(${value}u)`;
}

/** `condition ? yes : no`, lane by lane. GLSL ES 3.00 mixes floats only, so integers are chosen by a mask. */
function choose(lanes: Lanes, condition: {scalar: string; vector: string}, yes: string, no: string): string {
  return lanes === 1 ? `(${condition.scalar} ? ${yes} : ${no})` : `pick(${condition.vector}, ${yes}, ${no})`;
}

const compare = (name: string, operator: string, a: string, b: string) => ({scalar: `${a} ${operator} ${b}`, vector: `${name}(${a}, ${b})`});

/** Needed once by the four-lane functions. */
export const PICK = `uvec4 pick(bvec4 condition, uvec4 yes, uvec4 no) {
  uvec4 mask = uvec4(0u) - uvec4(condition);
  return (yes & mask) | (no & ~mask);
}
`;

/** `NAME(code) -> bits`: code in the low bits, nothing above them. Subnormals are counted in their unit, an exact product. */
function floatBits(name: string, format: FloatFormat, lanes: Lanes): string {
  const {bits, mantissaBits: m, exponentBits, bias, special} = format;
  const u = lanes === 1 ? 'uint' : 'uvec4';
  const f = lanes === 1 ? 'float(int(magnitude))' : 'vec4(ivec4(magnitude))';
  const lit = (value: number) => literal(lanes, value);
  const lines = [`${u} magnitude = code & ${lit(2 ** (bits - 1) - 1)};`];
  if (bias === 127) {
    // bfloat16: the exponent of float32, subnormals included.
    lines.push(`${u} r = magnitude << ${23 - m};`);
  } else {
    const small = `floatBitsToUint(${f} * ${powerOfTwo(1 - bias - m)})`;
    const normal = `(magnitude << ${23 - m}) + ${lit((127 - bias) * 2 ** 23)}`;
    lines.push(`${u} r = ${choose(lanes, compare('lessThan', '<', 'magnitude', lit(2 ** m)), small, normal)};`);
    if (special === 'ieee') {
      const top = lit((2 ** exponentBits - 1) * 2 ** m);
      const infinite = `${lit(INFINITY)} | (magnitude << ${23 - m})`;
      lines.push(`r = ${choose(lanes, compare('greaterThanEqual', '>=', 'magnitude', top), infinite, 'r')};`);
    }
    if (special === 'fn') {
      const all = lit(2 ** (bits - 1) - 1);
      lines.push(`r = ${choose(lanes, compare('equal', '==', 'magnitude', all), lit(NAN), 'r')};`);
    }
  }
  lines.push(`r |= (code >> ${bits - 1}) << 31;`);
  if (special === 'fnuz') {
    const negativeZero = lit(2 ** (bits - 1));
    lines.push(`r = ${choose(lanes, compare('equal', '==', 'code', negativeZero), lit(NAN), 'r')};`);
  }
  return `${u} ${name}(${u} code) {\n  ${lines.join('\n  ')}\n  return r;\n}\n`;
}

/** `uint bits_TYPE(uint code)` for a float type of codes or levels. e8m0: 2^(code - 127), 255 is NaN; code 0 is subnormal. */
export function bitsFunction(type: FloatType | LevelType): string {
  switch (type) {
    case 'float32':
      return 'uint bits_float32(uint code) { return code; }\n';
    case 'float8_e8m0fnu':
      return `uint bits_float8_e8m0fnu(uint code) { return code == 255u ? ${NAN}u : code == 0u ? ${2 ** 22}u : code << 23; }\n`;
    case 'int8':
      return 'uint bits_int8(uint code) { return floatBitsToUint(float(int(code << 24) >> 24)); }\n';
    case 'uint8':
      return 'uint bits_uint8(uint code) { return floatBitsToUint(float(int(code))); }\n';
    default:
      return floatBits(`bits_${type}`, FLOAT_FORMATS[type], 1);
  }
}

/** `uvec4 bits4_TYPE(uvec4 code)` for a float type of codes; wants PICK. */
export function bits4Function(type: FloatType): string {
  if (type === 'float32') return 'uvec4 bits4_float32(uvec4 code) { return code; }\n';
  return floatBits(`bits4_${type}`, FLOAT_FORMATS[type], 4);
}
