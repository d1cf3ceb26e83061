/**
 * WGSL arithmetic that rounds as IEEE 754 does, on any device: shaders may flush subnormals, fuse a product with a sum, assume that
 * nothing is NaN or infinite, and divide to 2.5 units in the last place. Numbers are passed as bits: a subnormal float may be flushed by being
 * looked at. Unpacking and rounding x are bit-exact, so they go through these; products of matrices do not.
 */

/**
 * sign | (m + rest / 2^24) * 2^(exponent - 23), rounded to nearest even. m in [2^23, 2^24), rest in [0, 2^24).
 */
const PACK = `fn pack_float(sign: u32, exponent: i32, m: u32, rest: u32) -> u32 {
  var mantissa = m;
  var low = rest;
  if (exponent < -126) {
    // A subnormal result: move the mantissa down, and keep whether anything fell off.
    let shift = u32(min(-126 - exponent, 26));
    let sticky = u32(low != 0u);
    if (shift <= 24u) {
      low = ((m & ((1u << shift) - 1u)) << (24u - shift)) | (rest >> shift) | sticky;
      mantissa = m >> shift;
    } else {
      low = select(0u, (m >> 1u) | sticky, shift == 25u);
      mantissa = 0u;
    }
  }
  mantissa += u32(low > 0x800000u || (low == 0x800000u && (mantissa & 1u) == 1u));
  let normal = u32(max(exponent, -126) + 127) << 23u;
  // Rounding up to the next power of two carries into the exponent by itself.
  var bits = select(normal + mantissa - 0x800000u, mantissa, exponent < -126);
  bits = select(bits, 0x7f800000u, exponent > 127 || bits > 0x7f800000u);
  return bits | sign;
}
struct Unpacked { exponent: i32, mantissa: u32 }
// A finite number that is not 0, as mantissa * 2^(exponent - 23) with the mantissa in [2^23, 2^24).
fn unpack_float(bits: u32) -> Unpacked {
  let field = (bits >> 23u) & 255u;
  let fraction = bits & 0x7fffffu;
  if (field != 0u) { return Unpacked(i32(field) - 127, fraction | 0x800000u); }
  let shift = countLeadingZeros(fraction) - 8u;
  return Unpacked(-126 - i32(shift), fraction << shift);
}
`;

/** The compiler cannot fuse or reorder the product, as it cannot know that `params.nothing` is 0. */
const MULTIPLY = `fn multiply_bits(p: u32, q: u32) -> u32 {
  let sign = (p ^ q) & 0x80000000u;
  let a = p & 0x7fffffffu;
  let b = q & 0x7fffffffu;
  let ea = a >> 23u;
  let eb = b >> 23u;
  if (ea != 0u && eb != 0u && ea + eb >= 130u && ea + eb < 381u && max(ea, eb) < 255u) {
    return bitcast<u32>(bitcast<f32>(p) * bitcast<f32>(q)) ^ params.nothing;
  }
  if (max(a, b) > 0x7f800000u) { return 0x7fc00000u; }
  if (min(a, b) == 0u) { return select(sign, 0x7fc00000u, max(a, b) == 0x7f800000u); }
  if (max(a, b) == 0x7f800000u) { return sign | 0x7f800000u; }
  // A subnormal factor or product: in integers. 24 x 24 bits, by halves of 12.
  let u = unpack_float(a);
  let v = unpack_float(b);
  let ah = u.mantissa >> 12u;
  let al = u.mantissa & 0xfffu;
  let bh = v.mantissa >> 12u;
  let bl = v.mantissa & 0xfffu;
  let ll = al * bl;
  let middle = ah * bl + al * bh + (ll >> 12u);
  var high = ah * bh + (middle >> 12u);
  var low = ((middle & 0xfffu) << 12u) | (ll & 0xfffu);
  var exponent = u.exponent + v.exponent + 1;
  if (high < 0x800000u) {
    high = (high << 1u) | (low >> 23u);
    low = (low << 1u) & 0xffffffu;
    exponent -= 1;
  }
  return pack_float(sign, exponent, high, low);
}
fn exact_multiply(a: f32, b: f32) -> f32 { return bitcast<f32>(multiply_bits(bitcast<u32>(a), bitcast<u32>(b))); }
`;

const DIVIDE = `fn divide_bits(p: u32, q: u32) -> u32 {
  let sign = (p ^ q) & 0x80000000u;
  let a = p & 0x7fffffffu;
  let b = q & 0x7fffffffu;
  if (max(a, b) > 0x7f800000u || (a == b && (a == 0u || a == 0x7f800000u))) { return 0x7fc00000u; }
  if (a == 0u || b == 0x7f800000u) { return sign; }
  if (b == 0u || a == 0x7f800000u) { return sign | 0x7f800000u; }
  let u = unpack_float(a);
  let v = unpack_float(b);
  var m = u.mantissa;
  var exponent = u.exponent - v.exponent;
  if (m < v.mantissa) { m <<= 1u; exponent -= 1; }
  // Long division: the leading 1, then 24 bits in steps of 8.
  var quotient = 1u;
  var remainder = m - v.mantissa;
  for (var i = 0; i < 3; i++) {
    let next = remainder << 8u;
    let digit = next / v.mantissa;
    remainder = next - digit * v.mantissa;
    quotient = (quotient << 8u) | digit;
  }
  return pack_float(sign, exponent, quotient >> 1u, ((quotient & 1u) << 23u) | u32(remainder != 0u));
}
fn exact_divide(a: f32, b: f32) -> f32 { return bitcast<f32>(divide_bits(bitcast<u32>(a), bitcast<u32>(b))); }
`;

/** multiply_bits and divide_bits, and the same of floats, exact_multiply and exact_divide; the uniforms must hold `nothing`, set to 0. */
export const EXACT = PACK + MULTIPLY + DIVIDE;
