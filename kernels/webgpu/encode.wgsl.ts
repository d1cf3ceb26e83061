/** WGSL that rounds the bits of float32 to the types of inputQuantization: to nearest, ties to even, saturating. In integers, so on any device alike. */
import {FLOAT_FORMATS, float32Bits} from '../float_codes.js';
import {INPUT_TYPES, type InputType} from '../input_quantization.js';
import {floatBitsFunction} from './float_bits.wgsl.js';

/** The bits of a number rounded to float32, as a WGSL literal. */
export function bitsLiteral(value: number): string {
  return `${float32Bits(value)}u`;
}

/** Needed once by every encode_TYPE: m / 2^shift to nearest even, m in [2^23, 2^24), shift above 0. */
export const ROUND_DOWN = `fn round_down(m: u32, shift: i32) -> u32 {
  if (shift > 25) { return 0u; }
  let places = u32(shift);
  let q = m >> places;
  let rest = m & ((1u << places) - 1u);
  let tie = 1u << (places - 1u);
  return q + u32(rest > tie || (rest == tie && (q & 1u) == 1u));
}
`;

/** `fn encode_TYPE(bits: u32) -> u32`: the code; int8 as two's complement of 32 bits. */
export function encodeFunction(type: InputType): string {
  const begin = `fn encode_${type}(bits: u32) -> u32 {
  let sign = bits >> 31u;
`;
  const read = 'bits & 0x7fffffffu';
  if (type === 'int8') {
    return `${begin}  let magnitude = ${read};
  if (magnitude > 0x7f800000u) { return 0u; }
  let e = i32(magnitude >> 23u) - 127;
  var q = 128u;
  if (e <= 7) { q = round_down((magnitude & 0x7fffffu) | 0x800000u, 23 - e); }
  return select(min(q, 127u), bitcast<u32>(-i32(min(q, 128u))), sign == 1u);
}
`;
  }
  const {max, nan} = INPUT_TYPES[type];
  const clamped = `  if ((${read}) > 0x7f800000u) { return ${nan}u; }
  let magnitude = min(${read}, ${bitsLiteral(max)});
`;
  if (type === 'bfloat16') {
    return `${begin}${clamped}  return ((magnitude + 0x7fffu + ((magnitude >> 16u) & 1u)) >> 16u) | (sign << 15u);
}
`;
  }
  const {bits, mantissaBits, bias, special} = FLOAT_FORMATS[type];
  const signed = `code | (sign << ${bits - 1}u)`;
  return `${begin}${clamped}  let e = i32(magnitude >> 23u) - 127;
  let least = max(e, ${1 - bias});
  let q = round_down((magnitude & 0x7fffffu) | 0x800000u, ${23 - mantissaBits} + least - e);
  // Codes are consecutive: a mantissa that rounds up carries into the exponent by itself.
  let code = (u32(least + ${bias - 1}) << ${mantissaBits}u) + q;
  return ${special === 'fnuz' ? `select(${signed}, 0u, code == 0u)` : signed};
}
`;
}

/** `fn decode_TYPE(code: u32) -> u32`: the bits of float32 of a code. */
export function decodeFunction(type: InputType): string {
  if (type === 'int8') return 'fn decode_int8(code: u32) -> u32 { return bitcast<u32>(f32(bitcast<i32>(code))); }\n';
  return floatBitsFunction(`decode_${type}`, FLOAT_FORMATS[type]);
}
