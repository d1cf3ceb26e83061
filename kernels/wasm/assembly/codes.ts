// Codes of one row out of their planes: one byte a code, in stored order.
import {BITS0, BITS1, BITS2, IN_DIM, PLANES, ROW_WORDS, START1, START2, field, unknownZeros} from './layout';
import {looked} from './vectors';

/** Where row n's codes begin. */
// @ts-ignore: decorator
@inline
export function rowAt(w: usize, d: usize, n: i32): usize {
  return w + ((<usize>n * <usize>field(d, ROW_WORDS)) << 2);
}

/** Fields of at most 8 - shift bits join the codes at out. They stay inside their bytes, so 16-bit lanes may shift (8-bit ones take three instructions). */
// @ts-ignore: decorator
@inline
function join(out: usize, v: v128, shift: i32): void {
  v128.store(out, v128.or(v128.load(out), i16x8.shl(v, shift)));
}

/** Sixteen 2-bit fields of a word, one a byte. Lanes cannot shift by different amounts, so they multiply up to a common place. */
// @ts-ignore: decorator
@inline
function spread2(word: u32, each: v128, places: v128, up: v128): v128 {
  const fields = v128.and(looked(i32x4.splat(word), each), places);
  const low = i16x8.shr_u(i16x8.mul(i16x8.extend_low_i8x16_u(fields), up), 6);
  const high = i16x8.shr_u(i16x8.mul(i16x8.extend_high_i8x16_u(fields), up), 6);
  return i8x16.narrow_i16x8_u(low, high);
}

/** Sixteen bits, one a byte. */
// @ts-ignore: decorator
@inline
function spread1(half: u32, each: v128, places: v128, one: v128): v128 {
  const bytes = looked(i32x4.splat(half), each);
  return v128.and(i8x16.eq(v128.and(bytes, places), places), one);
}

/** One plane; `shift` > 0 adds to what is there. Writes whole 32s: `out` needs K rounded up to 32 bytes. */
function plane(p: usize, bits: i32, count: i32, out: usize, shift: i32, zeros: v128): void {
  const whole = count & ~31, stop = out + <usize>whole;
  // Joined with zeros that no compiler knows, constants are made once and not in each iteration.
  const each = v128.or(zeros, bits == 2 ? i8x16(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3) : i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  const places = v128.or(
    zeros,
    bits == 2 ? i8x16(3, 12, 48, -64, 3, 12, 48, -64, 3, 12, 48, -64, 3, 12, 48, -64) : i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128));
  const up = v128.or(zeros, i16x8(64, 16, 4, 1, 64, 16, 4, 1)), one = v128.or(zeros, i8x16.splat(1));
  let o = out;
  if (bits == 4) {
    const low4 = v128.or(zeros, i8x16.splat(15));
    for (; o < stop; o += 32, p += 16) {
      const v = v128.load(p), lo = v128.and(v, low4), hi = v128.and(i16x8.shr_u(v, 4), low4);
      v128.store(o, i8x16.shuffle(lo, hi, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      v128.store(o, i8x16.shuffle(lo, hi, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), 16);
    }
  } else if (bits == 2 && shift == 0) {
    for (; o < stop; o += 32, p += 8) {
      v128.store(o, spread2(load<u32>(p), each, places, up));
      v128.store(o, spread2(load<u32>(p, 4), each, places, up), 16);
    }
  } else if (bits == 2) {
    for (; o < stop; o += 32, p += 8) {
      join(o, spread2(load<u32>(p), each, places, up), shift);
      join(o + 16, spread2(load<u32>(p, 4), each, places, up), shift);
    }
  } else if (bits == 1 && shift == 0) {
    for (; o < stop; o += 32, p += 4) {
      const word = load<u32>(p);
      v128.store(o, spread1(word & 0xffff, each, places, one));
      v128.store(o, spread1(word >> 16, each, places, one), 16);
    }
  } else if (bits == 1) {
    for (; o < stop; o += 32, p += 4) {
      const word = load<u32>(p);
      join(o, spread1(word & 0xffff, each, places, one), shift);
      join(o + 16, spread1(word >> 16, each, places, one), shift);
    }
  } else {
    memory.copy(out, p, <usize>whole);
    p += <usize>whole;
  }
  const mask = (1 << bits) - 1;
  for (let k = whole; k < count; k++) {
    const bit = <u32>(k - whole) * bits;
    const code = (load<u32>(p + <usize>((bit >> 5) << 2)) >> (bit & 31)) & mask;
    const at = out + <usize>k;
    store<u8>(at, shift == 0 ? code : <u32>load<u8>(at) | (code << shift));
  }
}

/** Row n's codes of at most 8 bits, one a byte, into out[K rounded up to 32]. */
export function rowCodes(w: usize, d: usize, n: i32, out: usize): void {
  const p = rowAt(w, d, n), inDim = field(d, IN_DIM), bits0 = field(d, BITS0), zeros = unknownZeros(d);
  plane(p, bits0, inDim, out, 0, zeros);
  const planes = field(d, PLANES);
  if (planes > 1) plane(p + (<usize>field(d, START1) << 2), field(d, BITS1), inDim, out, bits0, zeros);
  if (planes > 2) plane(p + (<usize>field(d, START2) << 2), field(d, BITS2), inDim, out, bits0 + field(d, BITS1), zeros);
}
