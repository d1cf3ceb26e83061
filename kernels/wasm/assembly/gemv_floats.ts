// y = W . x for one row of x as it is, with float codes decoded in registers: float32, float16, bfloat16 and 8-bit e4m3, two or four rows of W at a time.
import {blockScales} from './blocks';
import {rowAt} from './codes';
import {hasSubnormals, subnormalPair} from './gemv_subnormals';
import {DECODE, HALF_FLOATS, HIGH_HALVES, IN_DIM, SCALES, SIXTEENS, SMALL_FLOATS, TABLE_FACTOR, field} from './layout';
import {halfToFloat} from './levels';
import {LONG_RUN, RUN, fma, halved, ordered, total64, widen} from './vectors';

/**
 * Row of x in the order in which this decoding yields columns. lanes 1: as it is. 2: in each 8, even columns then odd. 4: the same
 * in each 16. order: 0 or uint32 [K] as elsewhere. factor multiplies x; returns 1 where that may overflow, or
 * where products of an x so small and of codes whose exponents are too small may still be float32 subnormals.
 */
export function prepareFloats(x: usize, order: usize, inDim: i32, lanes: i32, factor: f32, out: usize): i32 {
  let top: f32 = 0;
  for (let k = 0; k < inDim; k++) {
    let j = k;
    if (lanes == 2) j = (k & ~7) | ((k & 1) << 2) | ((k & 7) >> 1);
    else if (lanes == 4) j = (k & ~15) | ((k & 1) << 3) | ((k & 2) << 1) | ((k & 15) >> 2);
    const from = order == 0 ? <u32>k : load<u32>(order + (<usize>k << 2));
    const v = load<f32>(x + (<usize>from << 2));
    top = max(top, abs(v));
    store<f32>(out + (<usize>j << 2), v * factor);
  }
  return factor != 1 && !(top < 1e20 && (top > 1e-15 || top == 0)) ? 1 : 0;
}

// @ts-ignore: decorator
@inline
function low(v: v128): v128 {
  return i32x4.shl(v, 16);
}

/** Row n, whose float16 codes hold an infinity or NaN. x as `prepareFloats` left it in lanes of 2. */
function specialRow(w: usize, d: usize, n: i32, x: usize, block: i32, scales: usize): f32 {
  const o = rowAt(w, d, n), inDim = field(d, IN_DIM);
  let sum: f64 = 0;
  for (let k = 0; k < inDim; k++) {
    const j = (k & ~7) | ((k & 1) << 2) | ((k & 7) >> 1);
    sum += <f64>halfToFloat(load<u16>(o + (<usize>k << 1))) * <f64>load<f32>(x + (<usize>j << 2)) * <f64>load<f32>(scales + (<usize>(k / block) << 2));
  }
  return <f32>(sum * (1.0 / 1152921504606846976.0));
}

/** Rows n and n1, whose results go to y and y1. kind 1 float32, 2 float16 (numbers times 2^-112), 3 bfloat16. scratch: 2 runs of blocks + 4 float32. */
function pair(kind: i32, w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, blocks: i32, scratch: usize, y: usize, y1: usize): void {
  const run = <usize>(blocks + 4) << 2, apart = rowAt(w, d, n1) - rowAt(w, d, n);
  if (field(d, SCALES) > 0) {
    blockScales(w, d, n, block, blocks, scratch);
    blockScales(w, d, n1, block, blocks, scratch + run);
  }
  const high = v128.load(d + HIGH_HALVES), half = v128.load(d + HALF_FLOATS), up = i32x4.shr_u(i32x4.shl(v128.load(d + SIXTEENS), 25), 16);
  let o = rowAt(w, d, n), p = x, a = f64x2.splat(0), b = a, tops = i16x8.splat(0), tops1 = tops;
  const end = scratch + (<usize>blocks << 2), runBytes = <usize>max(1, RUN / block) << 2;
  for (let s = scratch; s < end; ) {
    const stop = min(end, s + runBytes);
    let sum = f32x4.splat(0), sum1 = sum;
    for (; s < stop; s += 4) {
      let f = f32x4.splat(0), g = f, f1 = f, g1 = f;
      if (kind == 1) {
        for (let j = 0; j < block; j += 8, o += 32, p += 32) {
          let t = v128.load(p);
          f = fma(f, v128.load(o), t);
          f1 = fma(f1, v128.load(o + apart), t);
          t = v128.load(p, 16);
          g = fma(g, v128.load(o, 16), t);
          g1 = fma(g1, v128.load(o + apart, 16), t);
        }
      } else if (kind == 2) {
        for (let j = 0; j < block; j += 8, o += 16, p += 32) {
          const v = v128.load(o), v1 = v128.load(o + apart), t = v128.load(p), t1 = v128.load(p, 16);
          f = ordered(fma(f, v128.and(i32x4.dot_i16x8_s(v, up), half), t));
          g = ordered(fma(g, v128.and(i32x4.shr_s(v, 3), half), t1));
          tops = ordered(i16x8.max_u(tops, i16x8.add(v, v)));
          f1 = ordered(fma(f1, v128.and(i32x4.dot_i16x8_s(v1, up), half), t));
          g1 = ordered(fma(g1, v128.and(i32x4.shr_s(v1, 3), half), t1));
          tops1 = i16x8.max_u(tops1, i16x8.add(v1, v1));
        }
      } else {
        for (let j = 0; j < block; j += 8, o += 16, p += 32) {
          const v = v128.load(o), v1 = v128.load(o + apart);
          let t = v128.load(p);
          f = fma(f, low(v), t);
          f1 = fma(f1, low(v1), t);
          t = v128.load(p, 16);
          g = fma(g, v128.and(v, high), t);
          g1 = fma(g1, v128.and(v1, high), t);
        }
      }
      sum = fma(sum, f32x4.add(f, g), v128.load32_splat(s));
      sum1 = fma(sum1, f32x4.add(f1, g1), v128.load32_splat(s + run));
    }
    a = widen(a, sum);
    b = widen(b, sum1);
  }
  const factor: f64 = kind == 2 ? <f64>load<f32>(d + TABLE_FACTOR) : 1;
  store<f32>(y, <f32>(total64(a) * factor));
  store<f32>(y1, <f32>(total64(b) * factor));
  if (kind == 2) {
    // All ones in the exponent, the sign shifted out.
    const top = i16x8.splat(<i16>0xf800);
    if (v128.any_true(i16x8.ge_u(tops, top))) store<f32>(y, specialRow(w, d, n, x, block, scratch));
    if (v128.any_true(i16x8.ge_u(tops1, top))) store<f32>(y1, specialRow(w, d, n1, x, block, scratch + run));
  }
}

/** The lower 16 bits of 32-bit lanes as float32, of which `small` are the sign, exponent and mantissa. */
// @ts-ignore: decorator
@inline
function lower(v: v128, small: v128): v128 {
  return v128.and(low(v), small);
}

/**
 * Every other byte, s eeee mmm, of sixteen that begin with one that is none of these, with copies of the sign between it and the rest: bits 10..4 of 16
 * are a bfloat16's whose exponent is 120 too small. A load at each byte costs less than what would bring the bytes between up.
 */
// @ts-ignore: decorator
@inline
function everyOther(bytes: v128): v128 {
  return i16x8.shr_s(bytes, 4);
}

/** f + products of such eight codes. */
// @ts-ignore: decorator
@inline
function eightCodes(f: v128, bytes: v128, small: v128, t: v128, t1: v128): v128 {
  const v = everyOther(bytes);
  return ordered(fma(ordered(fma(f, lower(v, small), t)), v128.and(v, small), t1));
}

/**
 * Four rows of e4m3 (numbers times 2^-120), to y of each. y: of row 0. subnormal: many codes are; it changes the time, not the result. scratch: 4 runs.
 * Blocks of 32 start sums of their own; longer ones keep eight, as a sum waits for the one before as long as eight take.
 */
function quad(subnormal: bool, w: usize, d: usize, n: i32, n1: i32, n2: i32, n3: i32, x: usize, block: i32, blocks: i32, scratch: usize, y: usize): void {
  if (subnormal) {
    subnormalPair(w, d, n, n1, x, block, blocks, scratch, y + (<usize>n << 2), y + (<usize>n1 << 2));
    subnormalPair(w, d, n2, n3, x, block, blocks, scratch, y + (<usize>n2 << 2), y + (<usize>n3 << 2));
    return;
  }
  const run = <usize>(blocks + 4) << 2, run2 = run + run, run3 = run2 + run;
  if (field(d, SCALES) > 0) {
    blockScales(w, d, n, block, blocks, scratch);
    blockScales(w, d, n1, block, blocks, scratch + run);
    blockScales(w, d, n2, block, blocks, scratch + run2);
    blockScales(w, d, n3, block, blocks, scratch + run3);
  }
  const small = i32x4.shl(v128.load(d + SMALL_FLOATS), 16);
  const row = rowAt(w, d, n), o1 = rowAt(w, d, n1) - row, o2 = rowAt(w, d, n2) - row, o3 = rowAt(w, d, n3) - row;
  // Begins a byte before the row, so that the others are even columns'.
  let o = row - 1, p = x, a = f64x2.splat(0), b = a;
  const end = scratch + (<usize>blocks << 2), runBytes = <usize>max(1, LONG_RUN / block) << 2;
  for (let s = scratch; s < end; ) {
    const stop = min(end, s + runBytes);
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    do {
      let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0, t: v128, t1: v128;
      if (ASC_FEATURE_RELAXED_SIMD && block == 32) {
        t = v128.load(p); t1 = v128.load(p, 16);
        f0 = eightCodes(f0, v128.load(o), small, t, t1);
        f1 = eightCodes(f1, v128.load(o + o1), small, t, t1);
        f2 = eightCodes(f2, v128.load(o + o2), small, t, t1);
        f3 = eightCodes(f3, v128.load(o + o3), small, t, t1);
        t = v128.load(p, 32); t1 = v128.load(p, 48);
        f0 = eightCodes(f0, v128.load(o, 1), small, t, t1);
        f1 = eightCodes(f1, v128.load(o + o1, 1), small, t, t1);
        f2 = eightCodes(f2, v128.load(o + o2, 1), small, t, t1);
        f3 = eightCodes(f3, v128.load(o + o3, 1), small, t, t1);
        t = v128.load(p, 64); t1 = v128.load(p, 80);
        f0 = eightCodes(f0, v128.load(o, 16), small, t, t1);
        f1 = eightCodes(f1, v128.load(o + o1, 16), small, t, t1);
        f2 = eightCodes(f2, v128.load(o + o2, 16), small, t, t1);
        f3 = eightCodes(f3, v128.load(o + o3, 16), small, t, t1);
        t = v128.load(p, 96); t1 = v128.load(p, 112);
        f0 = eightCodes(f0, v128.load(o, 17), small, t, t1);
        f1 = eightCodes(f1, v128.load(o + o1, 17), small, t, t1);
        f2 = eightCodes(f2, v128.load(o + o2, 17), small, t, t1);
        f3 = eightCodes(f3, v128.load(o + o3, 17), small, t, t1);
        o += 32;
        p += 128;
      } else {
        let g0 = f0, g1 = f0, g2 = f0, g3 = f0;
        const next = o + <usize>block;
        do {
          t = v128.load(p); t1 = v128.load(p, 16);
          let v = everyOther(v128.load(o));
          f0 = ordered(fma(f0, lower(v, small), t)); g0 = ordered(fma(g0, v128.and(v, small), t1));
          v = everyOther(v128.load(o + o1));
          f1 = ordered(fma(f1, lower(v, small), t)); g1 = ordered(fma(g1, v128.and(v, small), t1));
          v = everyOther(v128.load(o + o2));
          f2 = ordered(fma(f2, lower(v, small), t)); g2 = ordered(fma(g2, v128.and(v, small), t1));
          v = everyOther(v128.load(o + o3));
          f3 = ordered(fma(f3, lower(v, small), t)); g3 = ordered(fma(g3, v128.and(v, small), t1));
          t = v128.load(p, 32); t1 = v128.load(p, 48);
          v = everyOther(v128.load(o, 1));
          f0 = ordered(fma(f0, lower(v, small), t)); g0 = ordered(fma(g0, v128.and(v, small), t1));
          v = everyOther(v128.load(o + o1, 1));
          f1 = ordered(fma(f1, lower(v, small), t)); g1 = ordered(fma(g1, v128.and(v, small), t1));
          v = everyOther(v128.load(o + o2, 1));
          f2 = ordered(fma(f2, lower(v, small), t)); g2 = ordered(fma(g2, v128.and(v, small), t1));
          v = everyOther(v128.load(o + o3, 1));
          f3 = ordered(fma(f3, lower(v, small), t)); g3 = ordered(fma(g3, v128.and(v, small), t1));
          o += 16;
          p += 64;
        } while (o < next);
        f0 = f32x4.add(f0, g0);
        f1 = f32x4.add(f1, g1);
        f2 = f32x4.add(f2, g2);
        f3 = f32x4.add(f3, g3);
      }
      s0 = ordered(fma(s0, f0, v128.load32_splat(s)));
      s1 = ordered(fma(s1, f1, v128.load32_splat(s + run)));
      s2 = ordered(fma(s2, f2, v128.load32_splat(s + run2)));
      s3 = ordered(fma(s3, f3, v128.load32_splat(s + run3)));
      s += 4;
    } while (s < stop);
    const c = halved(s0, s1), e = halved(s2, s3), totals = f32x4.add(i64x2.shuffle(c, e, 0, 2), i64x2.shuffle(c, e, 1, 3));
    a = f64x2.add(a, f64x2.promote_low_f32x4(totals));
    b = f64x2.add(b, f64x2.promote_low_f32x4(i64x2.shuffle(totals, totals, 1, 0)));
  }
  const factor = <f64>load<f32>(d + TABLE_FACTOR);
  store<f32>(y + (<usize>n << 2), <f32>(f64x2.extract_lane(a, 0) * factor));
  store<f32>(y + (<usize>n1 << 2), <f32>(f64x2.extract_lane(a, 1) * factor));
  store<f32>(y + (<usize>n2 << 2), <f32>(f64x2.extract_lane(b, 0) * factor));
  store<f32>(y + (<usize>n3 << 2), <f32>(f64x2.extract_lane(b, 1) * factor));
}

/**
 * Rows begin..end of W times one prepared row of x; block a multiple of 16 that divides K and every group. y[0] is row `begin`.
 * scratch: 4 runs of blocks + 4 float32.
 */
export function gemvFloats(w: usize, d: usize, x: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize): void {
  const kind = field(d, DECODE);
  if (field(d, SCALES) == 0) {
    const bytes = <usize>(4 * (blocks + 4)) << 2;
    for (let at: usize = 0; at < bytes; at += 4) store<f32>(scratch + at, 1);
  }
  // Rows a part of W apart: each part is read from end to end, which is what a processor fetches ahead. Past the last, the last again.
  if (kind == 7) {
    const quarter = (end - begin + 3) >> 2, last = end - 1, out = y - (<usize>begin << 2);
    let subnormal = false;
    for (let n = begin; n < begin + quarter; n++) {
      const n1 = min(n + quarter, last), n2 = min(n + 2 * quarter, last), n3 = min(n + 3 * quarter, last);
      // Rows of a weight are alike: a look at some tells.
      if (((n - begin) & 7) == 0) subnormal = hasSubnormals(w, d, n, n1, n2, n3);
      quad(subnormal, w, d, n, n1, n2, n3, x, block, blocks, scratch, out);
    }
    return;
  }
  const half = (end - begin + 1) >> 1;
  for (let n = begin; n < begin + half; n++) {
    const n1 = min(n + half, end - 1), at = y + (<usize>(n - begin) << 2), at1 = y + (<usize>(n1 - begin) << 2);
    pair(kind, w, d, n, n1, x, block, blocks, scratch, at, at1);
  }
}
