/** GLSL that rounds float32 to the types of inputQuantization: to nearest, ties to even, saturating. In integers, so on any device alike. */
import {FLOAT_FORMATS, float32Bits} from '../../float_codes.js';
import {INPUT_TYPES, type InputType} from '../../input_quantization.js';
import {bitsFunction} from './float_bits.js';

/** The bits of a number rounded to float32, as a GLSL literal. */
export function floatLiteral(value: number): string {
  return `${float32Bits(value)}u`;
}

/** `uint encode_TYPE(uint bits)`: the code; int8 as two's complement of 32 bits. */
export function encodeFunction(type: InputType): string {
  const begin = `uint encode_${type}(uint bits) {
  uint magnitude = bits & 0x7fffffffu, sign = bits >> 31;
`;
  if (type === 'int8') {
    // Adding and subtracting 1.5 * 2^23 would round too, if no compiler removed it.
    return `${begin}  if (magnitude > 0x7f800000u) return 0u;
  int e = int(magnitude >> 23) - 127;
  uint q = e > 7 ? 128u : round_down((magnitude & 0x7fffffu) | 0x800000u, 23 - e);
  return sign == 1u ? uint(-int(min(q, 128u))) : min(q, 127u);
}
`;
  }
  const {max, nan} = INPUT_TYPES[type];
  if (type === 'bfloat16') {
    return `${begin}  if (magnitude > 0x7f800000u) return ${nan}u;
  magnitude = min(magnitude, ${floatLiteral(max)});
  return ((magnitude + 0x7fffu + ((magnitude >> 16) & 1u)) >> 16) | (sign << 15);
}
`;
  }
  const {bits, mantissaBits, bias, special} = FLOAT_FORMATS[type];
  const signed = `code | (sign << ${bits - 1})`;
  return `${begin}  if (magnitude > 0x7f800000u) return ${nan}u;
  magnitude = min(magnitude, ${floatLiteral(max)});
  int e = int(magnitude >> 23) - 127, least = max(e, ${1 - bias});
  uint q = round_down((magnitude & 0x7fffffu) | 0x800000u, ${23 - mantissaBits} + least - e);
  // Codes are consecutive: a mantissa that rounds up carries into the exponent by itself.
  uint code = (uint(least + ${bias - 1}) << ${mantissaBits}) + q;
  return ${special === 'fnuz' ? `code == 0u ? 0u : ${signed}` : signed};
}
`;
}

/** Needed once by every encode_TYPE: m / 2^shift to nearest even, m in [2^23, 2^24). */
export const ROUND_DOWN = `uint round_down(uint m, int shift) {
  if (shift > 25) return 0u;
  uint q = m >> shift, rest = m & ((1u << shift) - 1u), tie = 1u << max(shift - 1, 0);
  return shift > 0 && (rest > tie || (rest == tie && (q & 1u) == 1u)) ? q + 1u : q;
}
`;

/** `uint decode_TYPE(uint code)`: the bits of float32 of a code. */
export function decodeFunction(type: InputType): string {
  if (type === 'int8') return 'uint decode_int8(uint code) { return floatBitsToUint(float(int(code))); }\n';
  return `${bitsFunction(type)}uint decode_${type}(uint code) { return bits_${type}(code); }\n`;
}
