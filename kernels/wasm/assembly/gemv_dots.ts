// y = W . x for one row of x in bytes, where the engine has relaxed SIMD: one instruction multiplies 16 signed bytes of x with 16 codes of at most
// 7 bits and adds them in fours, exactly. x in 16 bits is 256 * high + low, both signed bytes: two such products.
import {rowAt} from './codes';
import {dot, pairFours, products, raisedTable} from './fours';
import {BITS0, BITS1, BITS2, DECODE, LOW_NIBBLES, PLANES, TABLE_FACTOR, TABLE_LOWEST, field} from './layout';
import {rowTerms} from './terms';
import {fma, looked, total} from './vectors';

/**
 * 16-bit integers in plain order -> bytes in the order in which codes come out. lanes 2: in each 32 columns even ones, then odd ones.
 * 4: in each 64, columns 0 4 8 .., 1 5 9 .., 2 6 10 .., 3 7 11 ... two: all high bytes of such a run, then the low ones; else the integers are bytes.
 */
export function prepareBytes(a: usize, inDim: i32, lanes: i32, two: i32, out: usize): void {
  const run = lanes << 4, shift = lanes == 2 ? 1 : 2, step = two ? run << 1 : run;
  for (let k = 0; k < inDim; k += run, out += step) {
    for (let j = 0; j < run; j++, a += 2) {
      const v = <i32>load<i16>(a), at = out + <usize>(((j & (lanes - 1)) << 4) + (j >> shift));
      if (two) {
        store<i8>(at, (v + 128) >> 8);
        store<i8>(at + run, v);
      } else store<i8>(at, v);
    }
  }
}

/** Rows n and n1 of 4-bit codes, or of a table's numbers. s1: the second row's scales. Results, plus t and t1, go to y and y1. */
// @ts-ignore: decorator
@inline
function pair4(
  two: bool, tabled: bool, short: bool, w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, blocks: i32, s: usize, s1: usize, factor: f32,
  y: usize, t: f32, y1: usize, t1: f32,
): void {
  const nibbles = v128.load(d + LOW_NIBBLES), table = tabled ? raisedTable(d) : nibbles, ones = i16x8.shr_u(nibbles, 11), apart = rowAt(w, d, n1) - rowAt(w, d, n);
  let o = rowAt(w, d, n), p = x, f = f32x4.splat(0), g = f;
  for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
    let h = i32x4.splat(0), l = h, h1 = h, l1 = h;
    for (let j = 0; j < block; j += 32, o += 16) {
      const v = v128.load(o), u = v128.load(o + apart);
      let q = v128.and(v, nibbles), q1 = v128.and(i16x8.shr_u(v, 4), nibbles), r = v128.and(u, nibbles), r1 = v128.and(i16x8.shr_u(u, 4), nibbles);
      if (tabled) {
        q = looked(table, q); q1 = looked(table, q1); r = looked(table, r); r1 = looked(table, r1);
      }
      let x0 = v128.load(p), x1 = v128.load(p, 16);
      h = products(short, x0, x1, q, q1, ones, h);
      h1 = products(short, x0, x1, r, r1, ones, h1);
      p += 32;
      if (two) {
        x0 = v128.load(p); x1 = v128.load(p, 16);
        l = products(short, x0, x1, q, q1, ones, l);
        l1 = products(short, x0, x1, r, r1, ones, l1);
        p += 32;
      }
    }
    if (two) {
      h = i32x4.add(i32x4.shl(h, 8), l);
      h1 = i32x4.add(i32x4.shl(h1, 8), l1);
    }
    f = fma(f, f32x4.convert_i32x4_s(h), v128.load32_splat(s + b));
    g = fma(g, f32x4.convert_i32x4_s(h1), v128.load32_splat(s1 + b));
  }
  store<f32>(y, total(f) * factor + t);
  store<f32>(y1, total(g) * factor + t1);
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
 * better added in 16 bits. scratch: 3 runs of blocks + 4 float32. y[0] is row `begin`.
 */
export function gemvDots(
  w: usize, d: usize, a: usize, steps: usize, sums: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize, lanes: i32, how: i32,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const run = <usize>(blocks + 4) << 2, s1 = scratch + run, extra = s1 + run, two = (how & 1) != 0, short = how > 1 && isShort(d);
    const tabled = field(d, DECODE) == 6, factor: f32 = tabled ? load<f32>(d + TABLE_FACTOR) : 1;
    // A table's numbers are raised to 0 and more: what that adds, times the factor, goes off as a zero does.
    const zero: f32 = tabled ? -<f32>field(d, TABLE_LOWEST) * factor : 0;
    const half = (end - begin + 1) >> 1;
    for (let n = begin; n < begin + half; n++) {
      const n1 = min(n + half, end - 1), at = y + (<usize>(n - begin) << 2), at1 = y + (<usize>(n1 - begin) << 2);
      const t = rowTerms(w, d, n, block, blocks, steps, sums, scratch, extra, zero), t1 = rowTerms(w, d, n1, block, blocks, steps, sums, s1, extra, zero);
      if (lanes == 2) {
        // Of two bytes a number: where 16 bits are better, so is `gemv`.
        if (tabled && two) pair4(true, true, false, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
        else if (two) pair4(true, false, false, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
        else if (tabled && short) pair4(false, true, true, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
        else if (tabled) pair4(false, true, false, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
        else if (short) pair4(false, false, true, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
        else pair4(false, false, false, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
      } else pairFours(two, short, w, d, n, n1, a, block, scratch, s1, factor, at, t, at1, t1);
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
