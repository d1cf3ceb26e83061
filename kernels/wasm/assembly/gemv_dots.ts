// y = W . x for one row of x in bytes, where the engine has relaxed SIMD: one instruction multiplies 16 signed bytes of x with 16 codes of at most
// 7 bits and adds them in fours, exactly. x in 16 bits is 256 * high + low, both signed bytes: two such products.
import {rowAt} from './codes';
import {raisedTable, rowFours} from './fours';
import {BITS0, DECODE, IN_DIM, LOW_NIBBLES, TABLE_FACTOR, TABLE_LOWEST, field} from './layout';
import {rowTerms} from './terms';
import {fma, total} from './vectors';

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

// @ts-ignore: decorator
@inline
export function dot(x: v128, q: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, q, c);
  return c;
}

// @ts-ignore: decorator
@inline
export function joined(two: bool, high: v128, low: v128): v128 {
  return f32x4.convert_i32x4_s(two ? i32x4.add(i32x4.shl(high, 8), low) : high);
}

// @ts-ignore: decorator
@inline
function four(tabled: bool, q: v128, table: v128): v128 {
  return tabled ? i8x16.swizzle(table, q) : q;
}

/** Rows n and n1 of 4-bit codes, or of a table's numbers. s1: the second row's scales. Results, without terms, go to y and y1. */
// @ts-ignore: decorator
@inline
function pair4(
  two: bool, tabled: bool, w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, blocks: i32, s: usize, s1: usize, factor: f32,
  y: usize, t: f32, y1: usize, t1: f32,
): void {
  const table = tabled ? raisedTable(d) : f32x4.splat(0);
  const nibbles = v128.load(d + LOW_NIBBLES), apart = rowAt(w, d, n1) - rowAt(w, d, n), xStep: usize = two ? 64 : 32;
  let o = rowAt(w, d, n), p = x, f = f32x4.splat(0), g = f;
  for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
    let h = i32x4.splat(0), l = h, h1 = h, l1 = h;
    for (let j = 0; j < block; j += 32, o += 16, p += xStep) {
      let v = v128.load(o), u = v128.load(o + apart), r = v128.load(p), q = four(tabled, v128.and(v, nibbles), table), q1 = four(tabled, v128.and(u, nibbles), table);
      h = dot(r, q, h);
      h1 = dot(r, q1, h1);
      if (two) {
        r = v128.load(p, 32);
        l = dot(r, q, l);
        l1 = dot(r, q1, l1);
      }
      q = four(tabled, v128.and(i16x8.shr_u(v, 4), nibbles), table);
      q1 = four(tabled, v128.and(i16x8.shr_u(u, 4), nibbles), table);
      r = v128.load(p, 16);
      h = dot(r, q, h);
      h1 = dot(r, q1, h1);
      if (two) {
        r = v128.load(p, 48);
        l = dot(r, q, l);
        l1 = dot(r, q1, l1);
      }
    }
    f = fma(f, joined(two, h, l), v128.load32_splat(s + b));
    g = fma(g, joined(two, h1, l1), v128.load32_splat(s1 + b));
  }
  store<f32>(y, total(f) * factor + t);
  store<f32>(y1, total(g) * factor + t1);
}

/** Scales of the four groups of 16 columns that the lanes of a run of 64 sum. */
// @ts-ignore: decorator
@inline
export function laneScales(block: i32, s: usize): v128 {
  if (block == 16) return v128.load(s);
  if (block == 32) {
    const v = v128.load64_splat(s);
    return i8x16.shuffle(v, v, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7);
  }
  return v128.load32_splat(s);
}

/** Two rows of codes in fours at q and q1, `inDim` a multiple of 64. */
// @ts-ignore: decorator
@inline
function pairFours(two: bool, q: usize, q1: usize, inDim: i32, x: usize, block: i32, s: usize, s1: usize, factor: f32, y: usize, t: f32, y1: usize, t1: f32): void {
  const unit = max(block, 64), scaleStep = <usize>(unit / block) << 2, end = q + <usize>inDim, xStep: usize = two ? 128 : 64;
  let p = x, f = f32x4.splat(0), g = f;
  for (; q < end; s += scaleStep, s1 += scaleStep) {
    let h = i32x4.splat(0), l = h, h1 = h, l1 = h;
    for (let j = 0; j < unit; j += 64, q += 64, q1 += 64, p += xStep) {
      let v = v128.load(q), u = v128.load(q1), r = v128.load(p);
      h = dot(r, v, h);
      h1 = dot(r, u, h1);
      if (two) {
        r = v128.load(p, 64);
        l = dot(r, v, l);
        l1 = dot(r, u, l1);
      }
      v = v128.load(q, 16);
      u = v128.load(q1, 16);
      r = v128.load(p, 16);
      h = dot(r, v, h);
      h1 = dot(r, u, h1);
      if (two) {
        r = v128.load(p, 80);
        l = dot(r, v, l);
        l1 = dot(r, u, l1);
      }
      v = v128.load(q, 32);
      u = v128.load(q1, 32);
      r = v128.load(p, 32);
      h = dot(r, v, h);
      h1 = dot(r, u, h1);
      if (two) {
        r = v128.load(p, 96);
        l = dot(r, v, l);
        l1 = dot(r, u, l1);
      }
      v = v128.load(q, 48);
      u = v128.load(q1, 48);
      r = v128.load(p, 48);
      h = dot(r, v, h);
      h1 = dot(r, u, h1);
      if (two) {
        r = v128.load(p, 112);
        l = dot(r, v, l);
        l1 = dot(r, u, l1);
      }
    }
    f = fma(f, joined(two, h, l), laneScales(block, s));
    g = fma(g, joined(two, h1, l1), laneScales(block, s1));
  }
  store<f32>(y, total(f) * factor + t);
  store<f32>(y1, total(g) * factor + t1);
}

/**
 * Rows begin..end of W times one row of x that `prepareBytes` left at a. Codes of at most 7 bits, or of tables of small integers that span at
 * most 127. lanes 2: 4 bits in one plane, block a multiple of 32; 4: K a multiple of 64. two: x has two bytes a number.
 * scratch: 3 runs of blocks + 4 float32; 2 K bytes more for lanes 4. y[0] is row `begin`.
 */
export function gemvDots(
  w: usize, d: usize, a: usize, steps: usize, sums: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize, lanes: i32, two: i32,
): void {
  const run = <usize>(blocks + 4) << 2, s1 = scratch + run, extra = s1 + run, bytes = extra + run, inDim = field(d, IN_DIM), bytes1 = bytes + <usize>inDim;
  const tabled = field(d, DECODE) == 6, factor: f32 = tabled ? load<f32>(d + TABLE_FACTOR) : 1;
  // A table's numbers are raised to 0 and more: what that adds, times the factor, goes off as a zero does.
  const zero: f32 = tabled ? -<f32>field(d, TABLE_LOWEST) * factor : 0;
  const half = (end - begin + 1) >> 1;
  for (let n = begin; n < begin + half; n++) {
    const n1 = min(n + half, end - 1), at = y + (<usize>(n - begin) << 2), at1 = y + (<usize>(n1 - begin) << 2);
    const t = rowTerms(w, d, n, block, blocks, steps, sums, scratch, extra, zero), t1 = rowTerms(w, d, n1, block, blocks, steps, sums, s1, extra, zero);
    if (lanes == 2) {
      if (tabled && two) pair4(true, true, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
      else if (tabled) pair4(false, true, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
      else if (two) pair4(true, false, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
      else pair4(false, false, w, d, n, n1, a, block, blocks, scratch, s1, factor, at, t, at1, t1);
    } else {
      rowFours(w, d, n, bytes);
      rowFours(w, d, n1, bytes1);
      if (two) pairFours(true, bytes, bytes1, inDim, a, block, scratch, s1, factor, at, t, at1, t1);
      else pairFours(false, bytes, bytes1, inDim, a, block, scratch, s1, factor, at, t, at1, t1);
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
