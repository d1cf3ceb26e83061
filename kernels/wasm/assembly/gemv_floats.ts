// y = W . x for one row of x as it is, with float codes decoded in registers: float32, float16, bfloat16 and 8-bit e4m3, two or four rows of W at a time.
import {blockScales} from './blocks';
import {rowAt} from './codes';
import {hasSubnormals, subnormalPair} from './gemv_subnormals';
import {DECODE, HALF_FLOATS, HIGH_HALVES, IN_DIM, SCALES, SIXTEENS, SMALL_FLOATS, TABLE_FACTOR, field, unknownZeros} from './layout';
import {halfToFloat} from './levels';
import {LONG_RUN, RUN, eight, fma, halved, total64, widen} from './vectors';

/**
 * Row of x in the order in which this decoding yields columns. lanes 1: as it is. 2: in each 8, even columns then odd. 4: the same
 * in each 16. order: 0 or uint32 [K] as elsewhere. factor multiplies x; returns 1 where that may overflow.
 */
export function prepareFloats(x: usize, order: usize, inDim: i32, lanes: i32, factor: f32, out: usize): i32 {
  let top: f32 = 0;
  for (let k = 0; k < inDim; k++) {
    let j = k;
    if (lanes == 2) j = (k & ~7) | ((k & 1) << 2) | ((k & 7) >> 1);
    else if (lanes == 4) j = (k & ~15) | ((k & 1) << 3) | ((k & 15) >> 1);
    const from = order == 0 ? <u32>k : load<u32>(order + (<usize>k << 2));
    const v = load<f32>(x + (<usize>from << 2));
    top = max(top, abs(v));
    store<f32>(out + (<usize>j << 2), v * factor);
  }
  return factor != 1 && !(top < 1e20) ? 1 : 0;
}

/** Columns of the even bytes of 16-bit lanes: s eeee mmm to sign and bits 10..4. One product in the relaxed builds: shifts are what limits. */
// @ts-ignore: decorator
@inline
function evenBytes(v: v128, small: v128, sixteen: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.and(i16x8.relaxed_dot_i8x16_i7x16_s(v, sixteen), small);
  return v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), small);
}

// @ts-ignore: decorator
@inline
function oddBytes(v: v128, small: v128): v128 {
  return v128.and(i16x8.shr_s(v, 4), small);
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
// @ts-ignore: decorator
@inline
function pair(kind: i32, w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, blocks: i32, scratch: usize, y: usize, y1: usize): void {
  const run = <usize>(blocks + 4) << 2, apart = rowAt(w, d, n1) - rowAt(w, d, n);
  if (field(d, SCALES) > 0) {
    blockScales(w, d, n, block, blocks, scratch);
    blockScales(w, d, n1, block, blocks, scratch + run);
  }
  const high = v128.load(d + HIGH_HALVES), half = v128.load(d + HALF_FLOATS);
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
          const v = v128.load(o), v1 = v128.load(o + apart);
          let t = v128.load(p);
          f = fma(f, v128.and(i32x4.shr_s(low(v), 3), half), t);
          f1 = fma(f1, v128.and(i32x4.shr_s(low(v1), 3), half), t);
          t = v128.load(p, 16);
          g = fma(g, v128.and(i32x4.shr_s(v, 3), half), t);
          g1 = fma(g1, v128.and(i32x4.shr_s(v1, 3), half), t);
          tops = i16x8.max_u(tops, i16x8.add(v, v));
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

/** f + products of 16 codes. Each waits for the one before, which takes as long as those of four rows do. */
// @ts-ignore: decorator
@inline
function sixteenCodes(f: v128, v: v128, small: v128, sixteen: v128, zeros: v128, t: v128, t1: v128, t2: v128, t3: v128): v128 {
  return eight(eight(f, evenBytes(v, small, sixteen), zeros, t, t1), oddBytes(v, small), zeros, t2, t3);
}

/** Four rows of e4m3 (numbers times 2^-120), `apart` from each other and the last no further than row `last`. y: of row n. scratch: 4 runs. */
function quad(w: usize, d: usize, n: i32, apart: i32, last: i32, x: usize, block: i32, blocks: i32, scratch: usize, y: usize): void {
  const n1 = min(n + apart, last), n2 = min(n + 2 * apart, last), n3 = min(n + 3 * apart, last), out = y - (<usize>n << 2);
  if (hasSubnormals(w, d, n, n1, n2, n3)) {
    subnormalPair(w, d, n, n1, x, block, blocks, scratch, y, out + (<usize>n1 << 2));
    subnormalPair(w, d, n2, n3, x, block, blocks, scratch, out + (<usize>n2 << 2), out + (<usize>n3 << 2));
    return;
  }
  const run = <usize>(blocks + 4) << 2;
  if (field(d, SCALES) > 0) {
    blockScales(w, d, n, block, blocks, scratch);
    blockScales(w, d, n1, block, blocks, scratch + run);
    blockScales(w, d, n2, block, blocks, scratch + 2 * run);
    blockScales(w, d, n3, block, blocks, scratch + 3 * run);
  }
  const small = v128.load(d + SMALL_FLOATS), zeros = unknownZeros(d), sixteen = v128.load(d + SIXTEENS);
  let o = rowAt(w, d, n), p = x, a = f64x2.splat(0), b = a;
  const o1 = rowAt(w, d, n1) - o, o2 = rowAt(w, d, n2) - o, o3 = rowAt(w, d, n3) - o;
  const end = scratch + (<usize>blocks << 2), runBytes = <usize>max(1, LONG_RUN / block) << 2;
  for (let s = scratch; s < end; ) {
    const stop = min(end, s + runBytes);
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    for (; s < stop; s += 4) {
      let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0;
      // A byte s eeee mmm moved to sign and bits 10..4 of 16 is a bfloat16 whose exponent is 120 too small; subnormals come out right too.
      for (const next = o + <usize>block; o < next; o += 16, p += 64) {
        const t = v128.load(p), t1 = v128.load(p, 16), t2 = v128.load(p, 32), t3 = v128.load(p, 48);
        f0 = sixteenCodes(f0, v128.load(o), small, sixteen, zeros, t, t1, t2, t3);
        f1 = sixteenCodes(f1, v128.load(o + o1), small, sixteen, zeros, t, t1, t2, t3);
        f2 = sixteenCodes(f2, v128.load(o + o2), small, sixteen, zeros, t, t1, t2, t3);
        f3 = sixteenCodes(f3, v128.load(o + o3), small, sixteen, zeros, t, t1, t2, t3);
      }
      s0 = fma(s0, f0, v128.load32_splat(s));
      s1 = fma(s1, f1, v128.load32_splat(s + run));
      s2 = fma(s2, f2, v128.load32_splat(s + 2 * run));
      s3 = fma(s3, f3, v128.load32_splat(s + 3 * run));
    }
    const c = halved(s0, s1), e = halved(s2, s3), totals = f32x4.add(i64x2.shuffle(c, e, 0, 2), i64x2.shuffle(c, e, 1, 3));
    a = f64x2.add(a, f64x2.promote_low_f32x4(totals));
    b = f64x2.add(b, f64x2.promote_low_f32x4(i64x2.shuffle(totals, totals, 1, 0)));
  }
  const factor = <f64>load<f32>(d + TABLE_FACTOR);
  store<f32>(y, <f32>(f64x2.extract_lane(a, 0) * factor));
  store<f32>(out + (<usize>n1 << 2), <f32>(f64x2.extract_lane(a, 1) * factor));
  store<f32>(out + (<usize>n2 << 2), <f32>(f64x2.extract_lane(b, 0) * factor));
  store<f32>(out + (<usize>n3 << 2), <f32>(f64x2.extract_lane(b, 1) * factor));
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
    const quarter = (end - begin + 3) >> 2;
    for (let n = begin; n < begin + quarter; n++) quad(w, d, n, quarter, end - 1, x, block, blocks, scratch, y + (<usize>(n - begin) << 2));
    return;
  }
  const half = (end - begin + 1) >> 1;
  for (let n = begin; n < begin + half; n++) {
    const n1 = min(n + half, end - 1), at = y + (<usize>(n - begin) << 2), at1 = y + (<usize>(n1 - begin) << 2);
    if (kind == 1) pair(1, w, d, n, n1, x, block, blocks, scratch, at, at1);
    else if (kind == 2) pair(2, w, d, n, n1, x, block, blocks, scratch, at, at1);
    else pair(3, w, d, n, n1, x, block, blocks, scratch, at, at1);
  }
}
