// Codes of one row as bytes, four columns apart: of each 64 columns 0 4 8 .., then 1 5 9 .., 2 6 10 .., 3 7 11 ... Lane l of 32 bits of a dot of
// such bytes is then the sum over columns 16 l to 16 l + 15, and no plane needs its codes shuffled into order.
import {rowAt} from './codes';
import {BITS0, BITS1, DECODE, IN_DIM, LOW_NIBBLES, PLANES, START1, START2, TABLE, TABLE_LOWEST, field} from './layout';

/** Two bits of each byte, from place 2 j to `shift`. What 16-bit shifts carry between bytes the mask takes away. */
// @ts-ignore: decorator
@inline
function field2(v: v128, j: i32, shift: i32): v128 {
  const by = shift - 2 * j, moved = by > 0 ? i16x8.shl(v, by) : by < 0 ? i16x8.shr_u(v, -by) : v;
  return v128.and(moved, i8x16.splat(<i8>(<i32>3 << shift)));
}

/** One bit of each byte, from place j to `shift`. */
// @ts-ignore: decorator
@inline
function field1(v: v128, j: i32, shift: i32): v128 {
  const by = shift - j, moved = by > 0 ? i16x8.shl(v, by) : by < 0 ? i16x8.shr_u(v, -by) : v;
  return v128.and(moved, i8x16.splat(<i8>(<i32>1 << shift)));
}

/** Bits 4 i to 4 i + 3 of 64 in byte i: each byte twice, of the first its low half, of the second its high half moved down. */
// @ts-ignore: decorator
@inline
function halves(p: usize): v128 {
  const v = i16x8.extend_low_i8x16_u(v128.load64_zero(p));
  return v128.or(v128.and(v, i16x8.splat(15)), v128.and(i16x8.shl(v, 4), i16x8.splat(0x0f00)));
}

/** Planes of b0, b1 and b2 bits, 0: none; p, p1 and p2 are where they begin. A table's numbers less the lowest, or the codes. */
// @ts-ignore: decorator
@inline
function expand(b0: i32, b1: i32, b2: i32, tabled: bool, p: usize, p1: usize, p2: usize, out: usize, inDim: i32, nibbles: v128, table: v128): void {
  for (const end = out + <usize>inDim; out < end; out += 64) {
    let q0 = nibbles, q1 = nibbles, q2 = nibbles, q3 = nibbles;
    if (b0 == 4) {
      const a = v128.load(p), b = v128.load(p, 16), byte = i16x8.splat(255);
      const even = i8x16.narrow_i16x8_u(v128.and(a, byte), v128.and(b, byte)), odd = i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8));
      q0 = v128.and(even, nibbles);
      q1 = v128.and(i16x8.shr_u(even, 4), nibbles);
      q2 = v128.and(odd, nibbles);
      q3 = v128.and(i16x8.shr_u(odd, 4), nibbles);
      p += 32;
    } else if (b0 == 2) {
      const v = v128.load(p);
      q0 = field2(v, 0, 0);
      q1 = field2(v, 1, 0);
      q2 = field2(v, 2, 0);
      q3 = field2(v, 3, 0);
      p += 16;
    } else {
      const v = halves(p);
      q0 = field1(v, 0, 0);
      q1 = field1(v, 1, 0);
      q2 = field1(v, 2, 0);
      q3 = field1(v, 3, 0);
      p += 8;
    }
    if (b1 == 2) {
      const v = v128.load(p1);
      q0 = v128.or(q0, field2(v, 0, b0));
      q1 = v128.or(q1, field2(v, 1, b0));
      q2 = v128.or(q2, field2(v, 2, b0));
      q3 = v128.or(q3, field2(v, 3, b0));
      p1 += 16;
    } else if (b1 == 1) {
      const v = halves(p1);
      q0 = v128.or(q0, field1(v, 0, b0));
      q1 = v128.or(q1, field1(v, 1, b0));
      q2 = v128.or(q2, field1(v, 2, b0));
      q3 = v128.or(q3, field1(v, 3, b0));
      p1 += 8;
    }
    if (b2 == 1) {
      const v = halves(p2);
      q0 = v128.or(q0, field1(v, 0, b0 + b1));
      q1 = v128.or(q1, field1(v, 1, b0 + b1));
      q2 = v128.or(q2, field1(v, 2, b0 + b1));
      q3 = v128.or(q3, field1(v, 3, b0 + b1));
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
