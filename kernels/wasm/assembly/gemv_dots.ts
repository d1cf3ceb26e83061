// y = W . x for one row of x in bytes, where the engine has relaxed SIMD: one instruction multiplies 16 signed bytes of x with 16 codes of at most
// 7 bits and adds them in fours, exactly. x in 16 bits is 256 * high + low, both signed bytes: two such products.
import {rowAt} from './codes';
import {dot, pairFours, products, raisedTable} from './fours';
import {BITS0, BITS1, BITS2, DECODE, LOW_NIBBLES, PLANES, TABLE_FACTOR, TABLE_LOWEST, field} from './layout';
import {fourTerms, inHalves, storeResults} from './terms';
import {even, fma, highBytes, looked, lowBytes, odd} from './vectors';

/** 16 integers as bytes. two: their high bytes at `out`, the low ones at `low`. */
// @ts-ignore: decorator
@inline
function storeBytes(v: v128, u: v128, two: bool, out: usize, low: usize): void {
  v128.store(out, two ? highBytes(v, u) : i8x16.narrow_i16x8_s(v, u));
  if (two) v128.store(low, lowBytes(v, u));
}

/**
 * 16-bit integers in plain order -> bytes in the order in which codes come out. lanes 2: in each 32 columns even ones, then odd ones.
 * 4: in each 64, columns 0 4 8 .., 1 5 9 .., 2 6 10 .., 3 7 11 ... two: all high bytes of such a run, then the low ones; else the integers are bytes.
 */
export function prepareBytes(a: usize, inDim: i32, lanes: i32, two: i32, out: usize): void {
  const pair = two != 0;
  if (lanes == 2) {
    for (const end = a + (<usize>inDim << 1); a < end; a += 64, out += pair ? 64 : 32) {
      const v = v128.load(a), u = v128.load(a, 16), v1 = v128.load(a, 32), u1 = v128.load(a, 48);
      storeBytes(even(v, u), even(v1, u1), pair, out, out + 32);
      storeBytes(odd(v, u), odd(v1, u1), pair, out + 16, out + 48);
    }
    return;
  }
  for (const end = a + (<usize>inDim << 1); a < end; a += 128, out += pair ? 128 : 64) {
    const v = v128.load(a), u = v128.load(a, 16), v1 = v128.load(a, 32), u1 = v128.load(a, 48);
    const w = v128.load(a, 64), t = v128.load(a, 80), w1 = v128.load(a, 96), t1 = v128.load(a, 112);
    const e = even(v, u), e1 = even(v1, u1), e2 = even(w, t), e3 = even(w1, t1), o = odd(v, u), o1 = odd(v1, u1), o2 = odd(w, t), o3 = odd(w1, t1);
    storeBytes(even(e, e1), even(e2, e3), pair, out, out + 64);
    storeBytes(even(o, o1), even(o2, o3), pair, out + 16, out + 80);
    storeBytes(odd(e, e1), odd(e2, e3), pair, out + 32, out + 96);
    storeBytes(odd(o, o1), odd(o2, o3), pair, out + 48, out + 112);
  }
}

/** The low nibbles of v, or the table's numbers for them. */
// @ts-ignore: decorator
@inline
function numbers(tabled: bool, v: v128, nibbles: v128, table: v128): v128 {
  const q = v128.and(v, nibbles);
  return tabled ? looked(table, q) : q;
}

/** Products of a block of 32 codes with x in two bytes: the low ones join the high ones as they are multiplied. */
// @ts-ignore: decorator
@inline
function joined(tabled: bool, o: usize, x0: v128, x1: v128, x2: v128, x3: v128, nibbles: v128, table: v128, nothing: v128): v128 {
  const v = v128.load(o), q = numbers(tabled, v, nibbles, table), q1 = numbers(tabled, i16x8.shr_u(v, 4), nibbles, table);
  return f32x4.convert_i32x4_s(dot(x3, q1, dot(x2, q, i32x4.shl(dot(x1, q1, dot(x0, q, nothing)), 8))));
}

// @ts-ignore: decorator
@inline
function whole(two: bool, high: v128, low: v128): v128 {
  return f32x4.convert_i32x4_s(two ? i32x4.add(i32x4.shl(high, 8), low) : high);
}

/**
 * Rows n to n3 of 4-bit codes, or of a table's numbers; results, plus `terms`, go to y of each row. s: their scales, `run` bytes apart. Four rows a quarter of W apart:
 * where they begin new pages at the same time, as many have, their waits for memory are one.
 */
// @ts-ignore: decorator
@inline
function quad4(
  two: bool, tabled: bool, short: bool, w: usize, d: usize, n: i32, n1: i32, n2: i32, n3: i32, x: usize, block: i32, blocks: i32, s: usize, run: usize,
  factor: f32, y: usize, terms: usize,
): void {
  const nibbles = v128.load(d + LOW_NIBBLES), table = tabled ? raisedTable(d) : nibbles, ones = i16x8.shr_u(nibbles, 11), nothing = i16x8.shr_u(nibbles, 12);
  let o = rowAt(w, d, n), p = x, f = nothing, f1 = f, f2 = f, f3 = f;
  const o1 = rowAt(w, d, n1) - o, o2 = rowAt(w, d, n2) - o, o3 = rowAt(w, d, n3) - o, end = s + (<usize>blocks << 2), run2 = run + run, run3 = run2 + run;
  if (two && block == 32) {
    for (; s < end; s += 4, o += 16, p += 64) {
      const x0 = v128.load(p), x1 = v128.load(p, 16), x2 = v128.load(p, 32), x3 = v128.load(p, 48);
      f = fma(f, joined(tabled, o, x0, x1, x2, x3, nibbles, table, nothing), v128.load32_splat(s));
      f1 = fma(f1, joined(tabled, o + o1, x0, x1, x2, x3, nibbles, table, nothing), v128.load32_splat(s + run));
      f2 = fma(f2, joined(tabled, o + o2, x0, x1, x2, x3, nibbles, table, nothing), v128.load32_splat(s + run2));
      f3 = fma(f3, joined(tabled, o + o3, x0, x1, x2, x3, nibbles, table, nothing), v128.load32_splat(s + run3));
    }
  }
  for (; s < end; s += 4) {
    let h = nothing, l = h, h1 = h, l1 = h, h2 = h, l2 = h, h3 = h, l3 = h;
    for (const stop = o + <usize>(block >> 1); o < stop; o += 16) {
      const x0 = v128.load(p), x1 = v128.load(p, 16), x2 = two ? v128.load(p, 32) : x0, x3 = two ? v128.load(p, 48) : x0;
      let v = v128.load(o), q = numbers(tabled, v, nibbles, table), q1 = numbers(tabled, i16x8.shr_u(v, 4), nibbles, table);
      h = products(short, x0, x1, q, q1, ones, h);
      if (two) l = products(short, x2, x3, q, q1, ones, l);
      v = v128.load(o + o1); q = numbers(tabled, v, nibbles, table); q1 = numbers(tabled, i16x8.shr_u(v, 4), nibbles, table);
      h1 = products(short, x0, x1, q, q1, ones, h1);
      if (two) l1 = products(short, x2, x3, q, q1, ones, l1);
      v = v128.load(o + o2); q = numbers(tabled, v, nibbles, table); q1 = numbers(tabled, i16x8.shr_u(v, 4), nibbles, table);
      h2 = products(short, x0, x1, q, q1, ones, h2);
      if (two) l2 = products(short, x2, x3, q, q1, ones, l2);
      v = v128.load(o + o3); q = numbers(tabled, v, nibbles, table); q1 = numbers(tabled, i16x8.shr_u(v, 4), nibbles, table);
      h3 = products(short, x0, x1, q, q1, ones, h3);
      if (two) l3 = products(short, x2, x3, q, q1, ones, l3);
      p += two ? 64 : 32;
    }
    f = fma(f, whole(two, h, l), v128.load32_splat(s));
    f1 = fma(f1, whole(two, h1, l1), v128.load32_splat(s + run));
    f2 = fma(f2, whole(two, h2, l2), v128.load32_splat(s + run2));
    f3 = fma(f3, whole(two, h3, l3), v128.load32_splat(s + run3));
  }
  const v = f32x4.splat(factor);
  storeResults(f, f1, v, terms, y, n, n1);
  storeResults(f2, f3, v, terms + 32, y, n2, n3);
}

/** Whether the products of four codes and bytes of x stay below 2^15: codes of at most 6 bits. */
function isShort(d: usize): bool {
  if (field(d, DECODE) == 6) return !v128.any_true(i8x16.gt_s(raisedTable(d), i8x16.splat(63)));
  const planes = field(d, PLANES);
  return field(d, BITS0) + (planes > 1 ? field(d, BITS1) : 0) + (planes > 2 ? field(d, BITS2) : 0) <= 6;
}

/**
 * Rows begin..end of W times one row of x that `prepareBytes` left at a. Codes of at most 7 bits, or of tables of small integers that span at
 * most 127. lanes 2: 4 bits in one plane, block a multiple of 32; 4: K a multiple of 64. how: 1 where x has two bytes a number, 2 where products are
 * better added in 16 bits. scratch: 5 runs of blocks + 4 float32, and 16. y[0] is row `begin`.
 */
export function gemvDots(
  w: usize, d: usize, a: usize, steps: usize, sums: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize, lanes: i32, how: i32,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const run = <usize>(blocks + 4) << 2, extra = scratch + 4 * run, two = (how & 1) != 0, short = how > 1 && isShort(d);
    const tabled = field(d, DECODE) == 6, factor: f32 = tabled ? load<f32>(d + TABLE_FACTOR) : 1;
    // A table's numbers are raised to 0 and more: what that adds, times the factor, goes off as a zero does.
    const zero: f32 = tabled ? -<f32>field(d, TABLE_LOWEST) * factor : 0;
    const kind = inHalves(w, d, begin, block), last = end - 1, out = y - (<usize>begin << 2), quarter = (end - begin + 3) >> 2, terms = extra + run;
    for (let n = begin; n < begin + quarter; n++) {
      const n1 = min(n + quarter, last), n2 = min(n + 2 * quarter, last), n3 = min(n + 3 * quarter, last);
      fourTerms(kind, w, d, n, n1, n2, n3, block, blocks, steps, sums, scratch, run, extra, zero, terms);
      if (lanes == 4) {
        pairFours(two, short, w, d, n, n1, a, block, scratch, run, factor, out, terms);
        pairFours(two, short, w, d, n2, n3, a, block, scratch + 2 * run, run, factor, out, terms + 32);
      }
      // Of two bytes a number: where 16 bits are better, so is `gemv`.
      else if (tabled && two) quad4(true, true, false, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, terms);
      else if (two) quad4(true, false, false, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, terms);
      else if (tabled && short) quad4(false, true, true, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, terms);
      else if (tabled) quad4(false, true, false, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, terms);
      else if (short) quad4(false, false, true, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, terms);
      else quad4(false, false, false, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, terms);
    }
  }
}

/**
 * How the engine multiplies: bytes outside the defined range tell, 127 * 255 twice saturates where two pairs are summed in 16 bits first.
 * 1: in one instruction; 2: in Arm's, which takes both as signed; 0: in several; -1: it has no relaxed SIMD.
 */
export function dotKind(low: i32, high: i32): i32 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    // An engine that is wrong within the range has none for us.
    if (i32x4.extract_lane(dot(i8x16.splat(<i8>~low), i8x16.splat(<i8>low), i32x4.splat(high)), 1) != 4 * 127 * -128 + 255) return -1;
    const v = i32x4.extract_lane(dot(i8x16.splat(<i8>low), i8x16.splat(<i8>high), i32x4.splat(0)), 0);
    return v == 4 * 127 * 255 ? 1 : v == -4 * 127 ? 2 : 0;
  }
  return -1;
}
