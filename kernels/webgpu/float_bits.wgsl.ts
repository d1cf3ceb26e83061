/**
 * WGSL that turns small floats into the bits of float32, exactly, for every code. Built from integers: shaders may flush
 * subnormals, so no float32 here is ever subnormal except one read as bits.
 */
import type {FloatFormat} from '../float_codes.js';

const NAN = '0x7fc00000u';
const INFINITY = '0x7f800000u';

/** One type family for scalars and vectors of four. */
function types(lanes: 1 | 4) {
  const u = lanes === 1 ? 'u32' : 'vec4<u32>';
  return {u, f: lanes === 1 ? 'f32' : 'vec4<f32>', lit: (text: string | number) => `${u}(${typeof text === 'number' ? `${text}u` : text})`};
}

/** 2^exponent as a WGSL literal that parses to exactly that. */
export function powerOfTwo(exponent: number): string {
  return `0x1p${exponent}f`;
}

/**
 * `fn NAME(code) -> bits`: code in the low bits, nothing above them. Subnormals are counted in their unit: an exact product
 * of two normal numbers.
 */
export function floatBitsFunction(name: string, format: FloatFormat, lanes: 1 | 4): string {
  const {u, f, lit} = types(lanes);
  const {bits, mantissaBits: m, exponentBits, bias, special} = format;
  const top = 2 ** exponentBits - 1;
  const lines = [
    `let magnitude = code & ${lit(2 ** (bits - 1) - 1)};`,
    `let normal = (magnitude << ${lit(23 - m)}) + ${lit((127 - bias) * 2 ** 23)};`,
    bias === 127
      ? // bfloat16: the same exponent as float32, subnormals included.
        `var r = magnitude << ${lit(23 - m)};`
      : `let small = bitcast<${u}>(${f}(magnitude) * ${powerOfTwo(1 - bias - m)});\n  var r = select(normal, small, magnitude < ${lit(2 ** m)});`,
  ];
  if (bias === 127) lines.splice(1, 1);
  else if (special === 'ieee')
    lines.push(`r = select(r, ${lit(INFINITY)} | (magnitude << ${lit(23 - m)}), magnitude >= ${lit(top * 2 ** m)});`);
  else if (special === 'fn') lines.push(`r = select(r, ${lit(NAN)}, magnitude == ${lit(2 ** (bits - 1) - 1)});`);
  lines.push(`r |= (code >> ${lit(bits - 1)}) << ${lit(31)};`);
  if (special === 'fnuz') lines.push(`r = select(r, ${lit(NAN)}, code == ${lit(2 ** (bits - 1))});`);
  return `fn ${name}(code: ${u}) -> ${u} {\n  ${lines.join('\n  ')}\n  return r;\n}\n`;
}

/** `fn NAME(code: u32) -> u32` for e8m0: 2^(code - 127), 255 is NaN. Code 0 is subnormal: read it as bits only. */
export function e8m0BitsFunction(name: string): string {
  return `fn ${name}(code: u32) -> u32 {
  return select(select(code << 23u, 0x00400000u, code == 0u), ${NAN}, code == 255u);
}
`;
}
