// Codes of one row out of their planes: one byte a code, in stored order.
import {BITS0, BITS1, IN_DIM, PLANES, ROW_WORDS, START1, field} from './layout';

/** Where row n's codes begin. */
// @ts-ignore: decorator
@inline
export function rowAt(w: usize, d: usize, n: i32): usize {
  return w + ((<usize>n * <usize>field(d, ROW_WORDS)) << 2);
}

// @ts-ignore: decorator
@inline
function put(out: usize, v: v128, shift: i32): void {
  v128.store(out, shift == 0 ? v : v128.or(v128.load(out), i8x16.shl(v, shift)));
}

/** Sixteen 2-bit fields of a word, one a byte. Lanes cannot shift by different amounts, so they multiply up to a common place. */
// @ts-ignore: decorator
@inline
function spread2(word: u32): v128 {
  const bytes = i8x16.swizzle(i32x4.splat(word), i8x16(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));
  const fields = v128.and(bytes, i8x16(3, 12, 48, -64, 3, 12, 48, -64, 3, 12, 48, -64, 3, 12, 48, -64));
  const up = i16x8(64, 16, 4, 1, 64, 16, 4, 1);
  const low = i16x8.shr_u(i16x8.mul(i16x8.extend_low_i8x16_u(fields), up), 6);
  const high = i16x8.shr_u(i16x8.mul(i16x8.extend_high_i8x16_u(fields), up), 6);
  return i8x16.narrow_i16x8_u(low, high);
}

/** Sixteen bits, one a byte. */
// @ts-ignore: decorator
@inline
function spread1(half: u32): v128 {
  const bytes = i8x16.swizzle(i32x4.splat(half), i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  const bit = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return v128.and(i8x16.eq(v128.and(bytes, bit), bit), i8x16.splat(1));
}

/** One plane; `shift` > 0 adds to what is there. Writes whole 32s: `out` needs K rounded up to 32 bytes. */
function plane(p: usize, bits: i32, count: i32, out: usize, shift: i32): void {
  const low4 = i8x16.splat(15);
  const whole = count & ~31;
  for (let k = 0; k < whole; k += 32) {
    const o = out + <usize>k;
    if (bits == 4) {
      const v = v128.load(p), lo = v128.and(v, low4), hi = i8x16.shr_u(v, 4);
      put(o, i8x16.shuffle(lo, hi, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), shift);
      put(o + 16, i8x16.shuffle(lo, hi, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), shift);
      p += 16;
    } else if (bits == 2) {
      put(o, spread2(load<u32>(p)), shift);
      put(o + 16, spread2(load<u32>(p, 4)), shift);
      p += 8;
    } else if (bits == 1) {
      const word = load<u32>(p);
      put(o, spread1(word & 0xffff), shift);
      put(o + 16, spread1(word >> 16), shift);
      p += 4;
    } else {
      put(o, v128.load(p), shift);
      put(o + 16, v128.load(p, 16), shift);
      p += 32;
    }
  }
  const mask = (1 << bits) - 1;
  for (let k = whole; k < count; k++) {
    const bit = <u32>(k - whole) * bits;
    const code = (load<u32>(p + <usize>((bit >> 5) << 2)) >> (bit & 31)) & mask;
    const o = out + <usize>k;
    store<u8>(o, shift == 0 ? code : <u32>load<u8>(o) | (code << shift));
  }
}

/** Row n's codes of at most 8 bits, one a byte, into out[K rounded up to 32]. */
export function rowCodes(w: usize, d: usize, n: i32, out: usize): void {
  const p = rowAt(w, d, n), inDim = field(d, IN_DIM), bits0 = field(d, BITS0);
  plane(p, bits0, inDim, out, 0);
  if (field(d, PLANES) == 2) plane(p + (<usize>field(d, START1) << 2), field(d, BITS1), inDim, out, bits0);
}
