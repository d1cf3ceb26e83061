// Two rows of codes of at most 7 bits, of any planes, times one row of x in bytes: codes are put together in registers, 64 of a row at a time, four
// columns apart (0 4 8 .., then 1 5 9 .., 2 6 10 .., 3 7 11 ..). Lane l of 32 bits of a dot of such bytes is then the sum over columns 16 l to 16 l + 15,
// and no plane needs its codes shuffled into order.
import {rowAt} from './codes';
import {BITS0, BITS1, BITS2, DECODE, IN_DIM, LOW_NIBBLES, PLANES, START1, START2, TABLE, TABLE_LOWEST, field} from './layout';
import {storeResults} from './terms';
import {fma, looked} from './vectors';

/** The table of 16 small integers less the lowest, for a swizzle. */
export function raisedTable(d: usize): v128 {
  return i8x16.sub(v128.load(<usize>field(d, TABLE)), i8x16.splat(<i8>field(d, TABLE_LOWEST)));
}

/** c + products of bytes of x with codes, in fours. */
// @ts-ignore: decorator
@inline
export function dot(x: v128, q: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, q, c);
  return c;
}

/** Products of bytes of x with codes, in pairs of 16 bits: one instruction on x86, where `dot` is five on a processor without VNNI. */
// @ts-ignore: decorator
@inline
function pairs(x: v128, q: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(x, q);
  return x;
}

/** Two vectors of products in 32 bits. short: codes of at most 6 bits, whose products are added in 16 bits first and multiplied by `weight`. */
// @ts-ignore: decorator
@inline
export function products(short: bool, x: v128, x1: v128, q: v128, q1: v128, weight: v128, c: v128): v128 {
  if (!short) return dot(x1, q1, dot(x, q, c));
  return i32x4.add(c, i32x4.dot_i16x8_s(i16x8.add(pairs(x, q), pairs(x1, q1)), weight));
}

/** Scales of the four groups of 16 columns that the lanes of a run of 64 sum. */
// @ts-ignore: decorator
@inline
function laneScales(block: i32, s: usize): v128 {
  if (block == 16) return v128.load(s);
  if (block == 32) {
    const v = v128.load64_splat(s);
    return i8x16.shuffle(v, v, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7);
  }
  return v128.load32_splat(s);
}

/**
 * 64 products of one row, in lanes of 16 columns. Planes of bits0, bits1 and bits2 bits at p, p1 and p2, 0: none; tabled: the codes are a table's.
 * bits: of four bits the first in its place of a code, then the second .. two: 64 low bytes of x follow the high ones. short: see `products`.
 */
// @ts-ignore: decorator
@inline
function fields(
  bits0: i32, bits1: i32, bits2: i32, tabled: bool, two: bool, short: bool, p: usize, p1: usize, p2: usize, x: usize,
  nothing: v128, nibbles: v128, deal: v128, bit0: v128, bit1: v128, bit2: v128, bit3: v128, table: v128, ones: v128, weight: v128,
): v128 {
  const twos = i8x16.shr_u(nibbles, 2), high = i8x16.shl(twos, 4);
  let q0 = nothing, q1 = nothing, q2 = nothing, q3 = nothing;
  if (bits0 == 4) {
    const a = looked(v128.load(p), deal), b = looked(v128.load(p, 16), deal), even = i64x2.shuffle(a, b, 0, 2), odd = i64x2.shuffle(a, b, 1, 3);
    q0 = v128.and(even, nibbles);
    q1 = v128.and(i16x8.shr_u(even, 4), nibbles);
    q2 = v128.and(odd, nibbles);
    q3 = v128.and(i16x8.shr_u(odd, 4), nibbles);
  } else if (bits0 == 2) {
    const v = v128.load(p);
    q0 = v128.and(v, twos);
    q1 = v128.and(i16x8.shr_u(v, 2), twos);
    q2 = v128.and(i16x8.shr_u(v, 4), twos);
    q3 = v128.and(i16x8.shr_u(v, 6), twos);
  }
  if (bits1 == 2) {
    const v = v128.load(p1);
    q0 = v128.or(q0, v128.and(i16x8.shl(v, 4), high));
    q1 = v128.or(q1, v128.and(i16x8.shl(v, 2), high));
    q2 = v128.or(q2, v128.and(v, high));
    q3 = v128.or(q3, v128.and(i16x8.shr_u(v, 2), high));
  }
  if (bits0 == 1 || bits1 == 1 || bits2 == 1) {
    // Bits 4 i to 4 i + 3 of the plane in the low half of byte i.
    const u = v128.load8x8_u(bits0 == 1 ? p : bits1 == 1 ? p1 : p2), v = v128.and(v128.or(u, i16x8.shl(u, 4)), nibbles);
    q0 = v128.or(q0, looked(bit0, v));
    q1 = v128.or(q1, looked(bit1, v));
    q2 = v128.or(q2, looked(bit2, v));
    q3 = v128.or(q3, looked(bit3, v));
  }
  if (tabled) {
    q0 = looked(table, q0);
    q1 = looked(table, q1);
    q2 = looked(table, q2);
    q3 = looked(table, q3);
  }
  let h = products(short, v128.load(x), v128.load(x, 16), q0, q1, weight, nothing), l = short ? h : nothing;
  if (two) l = products(short, v128.load(x, 64), v128.load(x, 80), q0, q1, ones, l);
  h = products(short, v128.load(x, 32), v128.load(x, 48), q2, q3, weight, short ? l : h);
  if (!two) return h;
  l = products(short, v128.load(x, 96), v128.load(x, 112), q2, q3, ones, short ? h : l);
  return short ? l : i32x4.add(i32x4.shl(h, 8), l);
}

/** Rows n and n1; K a multiple of 64. s: the rows' scales, one a block, `run` bytes apart. Results, plus `terms`, go to y of each row. The rest as `fields` has it. */
// @ts-ignore: decorator
@inline
function rows(
  bits0: i32, bits1: i32, bits2: i32, tabled: bool, two: bool, short: bool,
  w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, s: usize, run: usize, factor: f32, y: usize, terms: usize,
): void {
  // Constants that are not written as such would be built anew in each iteration.
  const nibbles = v128.load(d + LOW_NIBBLES), nothing = i8x16.shr_u(nibbles, 4), bit = i8x16.shr_u(nibbles, 3);
  const ones = i16x8.shr_u(nibbles, 11), weight = two ? i16x8.shl(ones, 8) : ones, table = tabled ? raisedTable(d) : nibbles;
  const deal = v128.or(nothing, i8x16(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
  const order = v128.or(nothing, i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)), place = bits0 == 1 ? 0 : bits1 == 1 ? bits0 : 6;
  const bit0 = i8x16.shl(v128.and(order, bit), place), bit1 = i8x16.shl(v128.and(i16x8.shr_u(order, 1), bit), place);
  const bit2 = i8x16.shl(v128.and(i16x8.shr_u(order, 2), bit), place), bit3 = i8x16.shl(i8x16.shr_u(order, 3), place);
  const begin = rowAt(w, d, n), apart = rowAt(w, d, n1) - begin, blockShift = <usize>ctz(block);
  let p = begin, p1 = begin + (<usize>field(d, START1) << 2), p2 = begin + (<usize>field(d, START2) << 2), f = f32x4.splat(0), g = f;
  for (let k: usize = 0, inDim = <usize>field(d, IN_DIM); k < inDim; k += 64) {
    const c = fields(bits0, bits1, bits2, tabled, two, short, p, p1, p2, x, nothing, nibbles, deal, bit0, bit1, bit2, bit3, table, ones, weight);
    const c1 = fields(
      bits0, bits1, bits2, tabled, two, short, p + apart, p1 + apart, p2 + apart, x, nothing, nibbles, deal, bit0, bit1, bit2, bit3, table, ones, weight);
    p += <usize>bits0 << 3;
    p1 += <usize>bits1 << 3;
    p2 += <usize>bits2 << 3;
    x += two ? 128 : 64;
    const at = (k >> blockShift) << 2;
    f = fma(f, f32x4.convert_i32x4_s(c), laneScales(block, s + at));
    g = fma(g, f32x4.convert_i32x4_s(c1), laneScales(block, s + run + at));
  }
  storeResults(f, g, f32x4.splat(factor), terms, y, n, n1);
}

// A function each: in one, what differs by constants alone would be joined and ask in every run which it is.

function five(
  w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, s: usize, run: usize, factor: f32, y: usize, terms: usize,
): void {
  rows(4, 1, 0, false, true, true, w, d, n, n1, x, block, s, run, factor, y, terms);
}

function six(
  w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, s: usize, run: usize, factor: f32, y: usize, terms: usize,
): void {
  rows(4, 2, 0, false, true, true, w, d, n, n1, x, block, s, run, factor, y, terms);
}

function three(
  w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, s: usize, run: usize, factor: f32, y: usize, terms: usize,
): void {
  rows(2, 1, 0, false, true, true, w, d, n, n1, x, block, s, run, factor, y, terms);
}

function twos(
  w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, s: usize, run: usize, factor: f32, y: usize, terms: usize,
): void {
  rows(2, 0, 0, false, true, true, w, d, n, n1, x, block, s, run, factor, y, terms);
}

function tabled4(
  w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, s: usize, run: usize, factor: f32, y: usize, terms: usize,
): void {
  rows(4, 0, 0, true, true, true, w, d, n, n1, x, block, s, run, factor, y, terms);
}

function any(
  two: bool, w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, s: usize, run: usize, factor: f32, y: usize, terms: usize,
): void {
  const planes = field(d, PLANES);
  rows(field(d, BITS0), planes > 1 ? field(d, BITS1) : 0, planes > 2 ? field(d, BITS2) : 0, field(d, DECODE) == 6, two, false, w, d, n, n1, x, block, s, run, factor, y, terms);
}

/** Rows n and n1 as `rows` has it. short: the codes have at most 6 bits, and this engine's better products are in 16. */
export function pairFours(
  two: bool, short: bool, w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, s: usize, run: usize, factor: f32, y: usize, terms: usize,
): void {
  const planes = field(d, PLANES), bits0 = field(d, BITS0), bits1 = planes > 1 ? field(d, BITS1) : 0;
  if (!two || !short) any(two, w, d, n, n1, x, block, s, run, factor, y, terms);
  else if (field(d, DECODE) == 6) tabled4(w, d, n, n1, x, block, s, run, factor, y, terms);
  else if (bits0 == 4 && bits1 == 1) five(w, d, n, n1, x, block, s, run, factor, y, terms);
  else if (bits0 == 4 && bits1 == 2) six(w, d, n, n1, x, block, s, run, factor, y, terms);
  else if (bits0 == 2 && bits1 == 1) three(w, d, n, n1, x, block, s, run, factor, y, terms);
  else if (bits0 == 2) twos(w, d, n, n1, x, block, s, run, factor, y, terms);
  else any(true, w, d, n, n1, x, block, s, run, factor, y, terms);
}
