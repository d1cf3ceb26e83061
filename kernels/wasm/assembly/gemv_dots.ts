// y = W . x for one row of x in bytes, where the engine has relaxed SIMD: one instruction multiplies 16 signed bytes of x with 16 codes of at most
// 7 bits and adds them in fours, exactly. x in 16 bits is 256 * high + low, both signed bytes: two such products.
import {rowAt} from './codes';
import {dot, pairFours, products, raisedTable} from './fours';
import {BITS0, BITS1, BITS2, DECODE, LOW_NIBBLES, PLANES, TABLE_FACTOR, TABLE_LOWEST, field} from './layout';
import {inHalves, rowTerms} from './terms';
import {fma, looked, storeTotals} from './vectors';

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

/** As `joined`, of a block of any width, added up. */
// @ts-ignore: decorator
@inline
function separate(two: bool, tabled: bool, short: bool, o: usize, p: usize, block: i32, nibbles: v128, table: v128, ones: v128, nothing: v128): v128 {
  let h = nothing, l = nothing;
  for (const end = o + <usize>(block >> 1); o < end; o += 16) {
    const v = v128.load(o), q = numbers(tabled, v, nibbles, table), q1 = numbers(tabled, i16x8.shr_u(v, 4), nibbles, table);
    h = products(short, v128.load(p), v128.load(p, 16), q, q1, ones, h);
    p += 32;
    if (two) {
      l = products(short, v128.load(p), v128.load(p, 16), q, q1, ones, l);
      p += 32;
    }
  }
  return f32x4.convert_i32x4_s(two ? i32x4.add(i32x4.shl(h, 8), l) : h);
}

/**
 * Rows n to n3 of 4-bit codes, or of a table's numbers; results go to y of each row. s: their scales, `run` bytes apart. Four rows a quarter of W apart:
 * where they begin new pages at the same time, as many have, their waits for memory are one.
 */
// @ts-ignore: decorator
@inline
function quad4(
  two: bool, tabled: bool, short: bool, w: usize, d: usize, n: i32, n1: i32, n2: i32, n3: i32, x: usize, block: i32, blocks: i32, s: usize, run: usize,
  factor: f32, y: usize, t: v128, t1: v128, t2: v128, t3: v128,
): void {
  const nibbles = v128.load(d + LOW_NIBBLES), table = tabled ? raisedTable(d) : nibbles, ones = i16x8.shr_u(nibbles, 11), nothing = i16x8.shr_u(nibbles, 12);
  let o = rowAt(w, d, n), p = x, f = nothing, f1 = f, f2 = f, f3 = f;
  const o1 = rowAt(w, d, n1) - o, o2 = rowAt(w, d, n2) - o, o3 = rowAt(w, d, n3) - o, end = s + (<usize>blocks << 2), run2 = 2 * run, run3 = 3 * run;
  if (two && block == 32) {
    for (; s < end; s += 4, o += 16, p += 64) {
      const x0 = v128.load(p), x1 = v128.load(p, 16), x2 = v128.load(p, 32), x3 = v128.load(p, 48);
      f = fma(f, joined(tabled, o, x0, x1, x2, x3, nibbles, table, nothing), v128.load32_splat(s));
      f1 = fma(f1, joined(tabled, o + o1, x0, x1, x2, x3, nibbles, table, nothing), v128.load32_splat(s + run));
      f2 = fma(f2, joined(tabled, o + o2, x0, x1, x2, x3, nibbles, table, nothing), v128.load32_splat(s + run2));
      f3 = fma(f3, joined(tabled, o + o3, x0, x1, x2, x3, nibbles, table, nothing), v128.load32_splat(s + run3));
    }
  }
  const bytes = <usize>(block >> 1), step = two ? <usize>block << 1 : <usize>block;
  for (; s < end; s += 4, o += bytes, p += step) {
    f = fma(f, separate(two, tabled, short, o, p, block, nibbles, table, ones, nothing), v128.load32_splat(s));
    f1 = fma(f1, separate(two, tabled, short, o + o1, p, block, nibbles, table, ones, nothing), v128.load32_splat(s + run));
    f2 = fma(f2, separate(two, tabled, short, o + o2, p, block, nibbles, table, ones, nothing), v128.load32_splat(s + run2));
    f3 = fma(f3, separate(two, tabled, short, o + o3, p, block, nibbles, table, ones, nothing), v128.load32_splat(s + run3));
  }
  const v = f32x4.splat(factor);
  storeTotals(fma(t, f, v), fma(t1, f1, v), y + (<usize>n << 2), y + (<usize>n1 << 2));
  storeTotals(fma(t2, f2, v), fma(t3, f3, v), y + (<usize>n2 << 2), y + (<usize>n3 << 2));
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
 * better added in 16 bits. scratch: 5 runs of blocks + 4 float32. y[0] is row `begin`.
 */
export function gemvDots(
  w: usize, d: usize, a: usize, steps: usize, sums: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize, lanes: i32, how: i32,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const run = <usize>(blocks + 4) << 2, s1 = scratch + run, extra = scratch + 4 * run, two = (how & 1) != 0, short = how > 1 && isShort(d);
    const tabled = field(d, DECODE) == 6, factor: f32 = tabled ? load<f32>(d + TABLE_FACTOR) : 1;
    // A table's numbers are raised to 0 and more: what that adds, times the factor, goes off as a zero does.
    const zero: f32 = tabled ? -<f32>field(d, TABLE_LOWEST) * factor : 0;
    const fast = inHalves(d, block), last = end - 1, out = y - (<usize>begin << 2);
    if (lanes == 2) {
      const quarter = (end - begin + 3) >> 2, s2 = s1 + run, s3 = s2 + run;
      for (let n = begin; n < begin + quarter; n++) {
        const n1 = min(n + quarter, last), n2 = min(n + 2 * quarter, last), n3 = min(n + 3 * quarter, last);
        const t = rowTerms(fast, w, d, n, block, blocks, steps, sums, scratch, extra, zero), t1 = rowTerms(fast, w, d, n1, block, blocks, steps, sums, s1, extra, zero);
        const t2 = rowTerms(fast, w, d, n2, block, blocks, steps, sums, s2, extra, zero), t3 = rowTerms(fast, w, d, n3, block, blocks, steps, sums, s3, extra, zero);
        // Of two bytes a number: where 16 bits are better, so is `gemv`.
        if (tabled && two) quad4(true, true, false, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, t, t1, t2, t3);
        else if (two) quad4(true, false, false, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, t, t1, t2, t3);
        else if (tabled && short) quad4(false, true, true, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, t, t1, t2, t3);
        else if (tabled) quad4(false, true, false, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, t, t1, t2, t3);
        else if (short) quad4(false, false, true, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, t, t1, t2, t3);
        else quad4(false, false, false, w, d, n, n1, n2, n3, a, block, blocks, scratch, run, factor, out, t, t1, t2, t3);
      }
      return;
    }
    const half = (end - begin + 1) >> 1;
    for (let n = begin; n < begin + half; n++) {
      const n1 = min(n + half, last);
      const t = rowTerms(fast, w, d, n, block, blocks, steps, sums, scratch, extra, zero), t1 = rowTerms(fast, w, d, n1, block, blocks, steps, sums, s1, extra, zero);
      pairFours(two, short, w, d, n, n1, a, block, scratch, s1, factor, out + (<usize>n << 2), t, out + (<usize>n1 << 2), t1);
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
