// Codes of one row as bytes, four columns apart: of each 64 columns 0 4 8 .., then 1 5 9 .., 2 6 10 .., 3 7 11 ... Lane l of 32 bits of a dot of
// such bytes is then the sum over columns 16 l to 16 l + 15, and no plane needs its codes shuffled into order.
import {rowAt} from './codes';
import {BITS0, BITS1, DECODE, IN_DIM, LOW_NIBBLES, PLANES, START1, START2, TABLE, TABLE_LOWEST, field} from './layout';

/** Bits of each byte from place `at` to `to`. What 16-bit shifts carry between bytes the mask takes away. */
// @ts-ignore: decorator
@inline
function moved(v: v128, at: i32, to: i32, mask: v128): v128 {
  return v128.and(to > at ? i16x8.shl(v, to - at) : to < at ? i16x8.shr_u(v, at - to) : v, mask);
}

/** Bits 4 i to 4 i + 3 of 64 in byte i: each byte twice, of the first its low half, of the second its high half moved down. */
// @ts-ignore: decorator
@inline
function halves(p: usize, first: v128, second: v128): v128 {
  const v = i16x8.extend_low_i8x16_u(v128.load64_zero(p));
  return v128.or(v128.and(v, first), v128.and(i16x8.shl(v, 4), second));
}

/** Planes of b0, b1 and b2 bits, 0: none; p, p1 and p2 are where they begin. A table's numbers less the lowest, or the codes. */
// @ts-ignore: decorator
@inline
function expand(b0: i32, b1: i32, b2: i32, tabled: bool, p: usize, p1: usize, p2: usize, out: usize, inDim: i32, nibbles: v128, table: v128): void {
  // Not written as constants, which would be built anew in each iteration.
  const byte = i16x8.shr_u(v128.or(nibbles, i16x8.shl(nibbles, 4)), 8), first = v128.and(nibbles, byte), second = v128.xor(nibbles, first);
  const mask0 = i8x16.shr_u(nibbles, 4 - b0), mask1 = i8x16.shl(i8x16.shr_u(nibbles, 4 - b1), b0), mask2 = i8x16.shl(i8x16.shr_u(nibbles, 3), b0 + b1);
  for (const end = out + <usize>inDim; out < end; out += 64) {
    let q0 = nibbles, q1 = nibbles, q2 = nibbles, q3 = nibbles;
    if (b0 == 4) {
      const a = v128.load(p), b = v128.load(p, 16);
      const even = i8x16.narrow_i16x8_u(v128.and(a, byte), v128.and(b, byte)), odd = i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8));
      q0 = v128.and(even, nibbles);
      q1 = v128.and(i16x8.shr_u(even, 4), nibbles);
      q2 = v128.and(odd, nibbles);
      q3 = v128.and(i16x8.shr_u(odd, 4), nibbles);
      p += 32;
    } else if (b0 == 2) {
      const v = v128.load(p);
      q0 = moved(v, 0, 0, mask0);
      q1 = moved(v, 2, 0, mask0);
      q2 = moved(v, 4, 0, mask0);
      q3 = moved(v, 6, 0, mask0);
      p += 16;
    } else {
      const v = halves(p, first, second);
      q0 = moved(v, 0, 0, mask0);
      q1 = moved(v, 1, 0, mask0);
      q2 = moved(v, 2, 0, mask0);
      q3 = moved(v, 3, 0, mask0);
      p += 8;
    }
    if (b1 == 2) {
      const v = v128.load(p1);
      q0 = v128.or(q0, moved(v, 0, b0, mask1));
      q1 = v128.or(q1, moved(v, 2, b0, mask1));
      q2 = v128.or(q2, moved(v, 4, b0, mask1));
      q3 = v128.or(q3, moved(v, 6, b0, mask1));
      p1 += 16;
    } else if (b1 == 1) {
      const v = halves(p1, first, second);
      q0 = v128.or(q0, moved(v, 0, b0, mask1));
      q1 = v128.or(q1, moved(v, 1, b0, mask1));
      q2 = v128.or(q2, moved(v, 2, b0, mask1));
      q3 = v128.or(q3, moved(v, 3, b0, mask1));
      p1 += 8;
    }
    if (b2 == 1) {
      const v = halves(p2, first, second);
      q0 = v128.or(q0, moved(v, 0, b0 + b1, mask2));
      q1 = v128.or(q1, moved(v, 1, b0 + b1, mask2));
      q2 = v128.or(q2, moved(v, 2, b0 + b1, mask2));
      q3 = v128.or(q3, moved(v, 3, b0 + b1, mask2));
      p2 += 8;
    }
    v128.store(out, tabled ? i8x16.swizzle(table, q0) : q0);
    v128.store(out, tabled ? i8x16.swizzle(table, q1) : q1, 16);
    v128.store(out, tabled ? i8x16.swizzle(table, q2) : q2, 32);
    v128.store(out, tabled ? i8x16.swizzle(table, q3) : q3, 48);
  }
}

/** The table of 16 small integers less the lowest, for a swizzle. */
export function raisedTable(d: usize): v128 {
  return i8x16.sub(v128.load(<usize>field(d, TABLE)), i8x16.splat(<i8>field(d, TABLE_LOWEST)));
}

/** Row n's codes of at most 7 bits, or its table's numbers less the lowest, into out[K]; K a multiple of 64. */
export function rowFours(w: usize, d: usize, n: i32, out: usize): void {
  const p = rowAt(w, d, n), p1 = p + (<usize>field(d, START1) << 2), p2 = p + (<usize>field(d, START2) << 2), inDim = field(d, IN_DIM);
  const nibbles = v128.load(d + LOW_NIBBLES), planes = field(d, PLANES), b0 = field(d, BITS0), b1 = planes > 1 ? field(d, BITS1) : 0;
  if (field(d, DECODE) == 6) expand(4, 0, 0, true, p, p1, p2, out, inDim, nibbles, raisedTable(d));
  else if (planes > 2) expand(4, 2, 1, false, p, p1, p2, out, inDim, nibbles, nibbles);
  else if (b0 == 4 && b1 == 2) expand(4, 2, 0, false, p, p1, p2, out, inDim, nibbles, nibbles);
  else if (b0 == 4 && b1 == 1) expand(4, 1, 0, false, p, p1, p2, out, inDim, nibbles, nibbles);
  else if (b0 == 4) expand(4, 0, 0, false, p, p1, p2, out, inDim, nibbles, nibbles);
  else if (b0 == 2 && b1 == 1) expand(2, 1, 0, false, p, p1, p2, out, inDim, nibbles, nibbles);
  else if (b0 == 2) expand(2, 0, 0, false, p, p1, p2, out, inDim, nibbles, nibbles);
  else expand(1, 0, 0, false, p, p1, p2, out, inDim, nibbles, nibbles);
}
