/**
 * GLSL arithmetic that rounds as IEEE 754 does, on any device: shaders may flush subnormals, fuse a product with a sum, and
 * divide to 2.5 units in the last place. Unpacking is bit-exact, so it goes through these; products of matrices do not.
 * Numbers are passed as bits, because a subnormal float may be flushed by being looked at.
 */
import type {Params} from './params.js';

/** A sum or product as bits, so that a compiler cannot fuse or reorder it: `nothing` is 0, which it cannot know. */
const OPAQUE = `uint opaque(float value) { return floatBitsToUint(value) ^ uint(nothing); }
`;

/** sign | (m + rest / 2^24) * 2^(exponent - 23), rounded to nearest even. m in [2^23, 2^24), rest in [0, 2^24). */
const PACK = `uint pack_float(uint sign, int exponent, uint m, uint rest) {
  uint mantissa = m;
  uint low = rest;
  if (exponent < -126) {
    // A subnormal result: move the mantissa down, and keep whether anything fell off.
    uint shift = uint(min(-126 - exponent, 26));
    uint sticky = low != 0u ? 1u : 0u;
    if (shift <= 24u) {
      low = ((m & ((1u << shift) - 1u)) << (24u - shift)) | (rest >> shift) | sticky;
      mantissa = m >> shift;
    } else {
      low = shift == 25u ? (m >> 1) | sticky : 0u;
      mantissa = 0u;
    }
  }
  if (low > 0x800000u || (low == 0x800000u && (mantissa & 1u) == 1u)) mantissa++;
  // Rounding up to the next power of two carries into the exponent by itself.
  uint bits = exponent < -126 ? mantissa : (uint(exponent + 127) << 23) + mantissa - 0x800000u;
  if (exponent > 127 || bits > 0x7f800000u) bits = 0x7f800000u;
  return bits | sign;
}
// A finite number that is not 0, as mantissa * 2^(exponent - 23) with the mantissa in [2^23, 2^24).
void unpack_float(uint bits, out int exponent, out uint mantissa) {
  uint field = (bits >> 23) & 255u;
  mantissa = bits & 0x7fffffu;
  if (field != 0u) {
    exponent = int(field) - 127;
    mantissa |= 0x800000u;
    return;
  }
  // The fraction as a float tells its highest bit: exact, below 2^23.
  uint shift = 150u - (floatBitsToUint(float(int(mantissa))) >> 23);
  exponent = -126 - int(shift);
  mantissa <<= shift;
}
`;

const MULTIPLY = `uint exact_multiply(uint p, uint q) {
  uint ea = (p >> 23) & 255u;
  uint eb = (q >> 23) & 255u;
  bool nothing_there = (p & 0x7fffffffu) == 0u || (q & 0x7fffffffu) == 0u;
  if (nothing_there || ea == 255u || eb == 255u || (ea != 0u && eb != 0u && ea + eb >= 130u)) {
    return opaque(uintBitsToFloat(p) * uintBitsToFloat(q));
  }
  // A subnormal factor or product: in integers. 24 x 24 bits, by halves of 12.
  int eu, ev;
  uint u, v;
  unpack_float(p, eu, u);
  unpack_float(q, ev, v);
  uint ll = (u & 0xfffu) * (v & 0xfffu);
  uint middle = (u >> 12) * (v & 0xfffu) + (u & 0xfffu) * (v >> 12) + (ll >> 12);
  uint high = (u >> 12) * (v >> 12) + (middle >> 12);
  uint low = ((middle & 0xfffu) << 12) | (ll & 0xfffu);
  int exponent = eu + ev + 1;
  if (high < 0x800000u) {
    high = (high << 1) | (low >> 23);
    low = (low << 1) & 0xffffffu;
    exponent--;
  }
  return pack_float((p ^ q) & 0x80000000u, exponent, high, low);
}
`;

const DIVIDE = `uint exact_divide(uint p, uint q) {
  if ((p & 0x7fffffffu) == 0u || (q & 0x7fffffffu) == 0u || ((p >> 23) & 255u) == 255u || ((q >> 23) & 255u) == 255u) {
    return opaque(uintBitsToFloat(p) / uintBitsToFloat(q));
  }
  int eu, ev;
  uint u, v;
  unpack_float(p, eu, u);
  unpack_float(q, ev, v);
  int exponent = eu - ev;
  if (u < v) {
    u <<= 1;
    exponent--;
  }
  // Long division: the leading 1, then 24 bits in steps of 8.
  uint quotient = 1u;
  uint remainder = u - v;
  for (int i = 0; i < 3; i++) {
    uint next = remainder << 8;
    uint digit = next / v;
    remainder = next - digit * v;
    quotient = (quotient << 8) | digit;
  }
  uint rest = ((quotient & 1u) << 23) | (remainder != 0u ? 1u : 0u);
  return pack_float((p ^ q) & 0x80000000u, exponent, quotient >> 1, rest);
}
`;

/**
 * exact_multiply, exact_divide and exact_add on the bits of float32; normal_multiply where nothing is subnormal.
 * A subnormal term of a sum may count as 0.
 */
export function exactArithmetic(params: Params): string {
  params.add('nothing', 0);
  const normal = 'uint normal_multiply(uint p, uint q) { return opaque(uintBitsToFloat(p) * uintBitsToFloat(q)); }\n';
  const add = 'uint exact_add(uint p, uint q) { return opaque(uintBitsToFloat(p) + uintBitsToFloat(q)); }\n';
  return OPAQUE + PACK + MULTIPLY + DIVIDE + normal + add;
}
