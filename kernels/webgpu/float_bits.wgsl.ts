/**
 * WGSL that turns small floats into the bits of float32, exactly, for every code. Built from integers: shaders may flush
 * subnormals, so no float32 here is ever subnormal except one read as bits.
 */
import type {FloatFormat} from '../float_codes.js';

const NAN = '0x7fc00000u';
const INFINITY = '0x7f800000u';

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
    lines.push(`var r = magnitude << ${23 - m}u;`);
  } else {
    lines.push(`let normal = (magnitude << ${23 - m}u) + ${(127 - bias) * 2 ** 23}u;`);
    lines.push(`let small = bitcast<u32>(f32(magnitude) * ${powerOfTwo(1 - bias - m)});`);
    lines.push(`var r = select(normal, small, magnitude < ${2 ** m}u);`);
    if (special === 'ieee') lines.push(`r = select(r, ${INFINITY} | (magnitude << ${23 - m}u), magnitude >= ${top * 2 ** m}u);`);
    else if (special === 'fn') lines.push(`r = select(r, ${NAN}, magnitude == ${2 ** (bits - 1) - 1}u);`);
  }
  lines.push(`r |= (code >> ${bits - 1}u) << 31u;`);
  if (special === 'fnuz') lines.push(`r = select(r, ${NAN}, code == ${2 ** (bits - 1)}u);`);
  return `fn ${name}(code: u32) -> u32 {\n  ${lines.join('\n  ')}\n  return r;\n}\n`;
}

/**
 * `fn NAME(codes: vec4<u32>) -> vec4<f32>`: each code in the top bits, anything below. A subnormal read as if it were normal is
 * v = 2^-bias * (1 + m), and 2v - 2^(1 - bias) is what it stands for: v + min(v - 2^(1 - bias), 0) is that, and v for the
 * others, without a comparison. All steps are exact.
 */
export function floatNumbersFunction(name: string, format: FloatFormat): string {
  const {bits, exponentBits, bias, special} = format;
  const vec = (text: string) => `vec4<u32>(${text})`;
  const magnitude = 2 ** 31 - 2 ** (32 - bits);
  const lines = [
    `let r = ((codes & ${vec(`${magnitude}u`)}) >> ${vec(`${8 - exponentBits}u`)})${bias === 127 ? '' : ` + ${vec(`${(127 - bias) * 2 ** 23}u`)}`};`,
  ];
  lines.push('let v = bitcast<vec4<f32>>(r);');
  lines.push(bias === 127 ? 'var out = r;' : `var out = bitcast<vec4<u32>>(v + min(v - vec4<f32>(${powerOfTwo(1 - bias)}), vec4<f32>()));`);
  if (bias !== 127 && special === 'ieee') {
    lines.push(`out |= select(vec4<u32>(), ${vec(INFINITY)}, v >= vec4<f32>(${powerOfTwo(2 ** exponentBits - 1 - bias)}));`);
  }
  if (special === 'fn') {
    // All ones: the largest of the top binade.
    const largest = 2 ** (2 ** exponentBits - 1 - bias) * (2 - 2 ** -format.mantissaBits);
    lines.push(`out |= select(vec4<u32>(), ${vec(NAN)}, v >= vec4<f32>(${largest}.0));`);
  }
  if (special === 'fnuz') {
    lines.push(`out |= select(vec4<u32>(), ${vec(NAN)}, (codes & ${vec(`${magnitude + 2 ** 31}u`)}) == ${vec(`${2 ** 31}u`)});`);
  }
  lines.push(`return bitcast<vec4<f32>>(out | (codes & ${vec('0x80000000u')}));`);
  return `fn ${name}(codes: vec4<u32>) -> vec4<f32> {\n  ${lines.join('\n  ')}\n}\n`;
}

/** `fn NAME(code: u32) -> u32` for e8m0: 2^(code - 127), 255 is NaN. Code 0 is subnormal: read it as bits only. */
export function e8m0BitsFunction(name: string): string {
  return `fn ${name}(code: u32) -> u32 {
  return select(select(code << 23u, 0x00400000u, code == 0u), ${NAN}, code == 255u);
}
`;
}
