/**
 * GLSL that turns small floats into float32, exactly, for every code. Built from integers: shaders may flush subnormals, so
 * no float here is ever subnormal.
 */
import {FLOAT_FORMATS, type FloatFormat} from '../../float_codes.js';
import type {FloatType, LevelType} from '../../layout.js';

const NAN = 0x7fc00000;
const EXPONENT = 0x7f800000;

/** Bits of 2^exponent. */
const powerBits = (exponent: number) => (exponent + 127) * 2 ** 23;

/** All bits where a signed number is negative. */
const negative = (text: string) => `uint(int(${text}) >> 31)`;

/**
 * `NAME(code) -> bits`: code in the low bits, nothing above them. A subnormal m 2^e is read as (1 + m) 2^e less 2^e.
 */
function floatBits(name: string, format: FloatFormat): string {
  const {bits, mantissaBits: m, exponentBits, bias, special} = format;
  const top = 2 ** exponentBits - 1;
  const lines = [`uint magnitude = code & ${2 ** (bits - 1) - 1}u, r = magnitude << ${23 - m};`];
  // bfloat16 has the exponent of float32, subnormals included.
  if (bias !== 127) {
    lines.push(`uint small = ${negative(`magnitude - ${2 ** m}u`)};`);
    lines.push(`r += ${(127 - bias) * 2 ** 23}u + (small & ${2 ** 23}u);`);
    lines.push(`r = floatBitsToUint(uintBitsToFloat(r) - uintBitsToFloat(small & ${powerBits(1 - bias)}u));`);
    if (special === 'ieee') lines.push(`r |= ${negative(`${top * 2 ** m - 1}u - magnitude`)} & ${EXPONENT}u;`);
    if (special === 'fn') lines.push(`r |= ${negative(`${2 ** (bits - 1) - 2}u - magnitude`)} & ${NAN}u;`);
  }
  lines.push(`r |= (code << ${32 - bits}) & ${2 ** 31}u;`);
  if (special === 'fnuz') lines.push(`r |= ${negative(`(code ^ ${2 ** (bits - 1)}u) - 1u`)} & ${NAN}u;`);
  return `uint ${name}(uint code) {\n  ${lines.join('\n  ')}\n  return r;\n}\n`;
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
      return floatBits(`bits_${type}`, FLOAT_FORMATS[type]);
  }
}
