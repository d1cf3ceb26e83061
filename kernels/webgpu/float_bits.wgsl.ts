/**
 * WGSL that turns small floats into the bits of float32, exactly, for every code. Built from integers: shaders may flush
 * subnormals, so no float32 here is ever subnormal except one read as bits.
 */
import type {FloatFormat} from '../float_codes.js';

export const NAN = '0x7fc00000u';
export const INFINITY = '0x7f800000u';

/** 2^exponent as a WGSL literal that parses to exactly that. */
export function powerOfTwo(exponent: number): string {
  return `0x1p${exponent}f`;
}

/**
 * `fn NAME(code: u32) -> u32`: code in the low bits, nothing above them. Subnormals are counted in their unit: an exact product
 * of two normal numbers.
 */
export function floatBitsFunction(name: string, format: FloatFormat): string {
  const {bits, mantissaBits: m, exponentBits, bias, special} = format;
  const top = 2 ** exponentBits - 1;
  const lines = [`let magnitude = code & ${2 ** (bits - 1) - 1}u;`];
  if (bias === 127) {
    // bfloat16: the same exponent as float32, subnormals included.
    lines.push(`var r = magnitude * ${2 ** (23 - m)}u;`);
  } else {
    lines.push(`let normal = (magnitude * ${2 ** (23 - m)}u) + ${(127 - bias) * 2 ** 23}u;`);
    lines.push(`let small = bitcast<u32>(f32(magnitude) * ${powerOfTwo(1 - bias - m)});`);
    lines.push(`var r = select(normal, small, magnitude < ${2 ** m}u);`);
    if (special === 'ieee') lines.push(`r = select(r, ${INFINITY} | (magnitude * ${2 ** (23 - m)}u), magnitude >= ${top * 2 ** m}u);`);
    else if (special === 'fn') lines.push(`r = select(r, ${NAN}, magnitude == ${2 ** (bits - 1) - 1}u);`);
  }
  lines.push(`r |= (code * ${2 ** (32 - bits)}u) & 0x80000000u;`);
  if (special === 'fnuz') lines.push(`r = select(r, ${NAN}, code == ${2 ** (bits - 1)}u);`);
  return `fn ${name}(code: u32) -> u32 {\n  ${lines.join('\n  ')}\n  return r;\n}\n`;
}

/** `fn NAME(code: u32) -> u32` for e8m0: 2^(code - 127), 255 is NaN. Code 0 is subnormal: read it as bits only. */
export function e8m0BitsFunction(name: string): string {
  return `fn ${name}(code: u32) -> u32 {
  return select(select(code * 0x800000u, 0x00400000u, code == 0u), ${NAN}, code == 255u);
}
`;
}
