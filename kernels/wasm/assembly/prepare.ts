// x rounded to 16-bit integers, a scale for each block of columns: the pass over x that every integer kernel shares.

import {even, odd, total} from './vectors';

/** 127 * 256 + 127: the largest that is 256 times a signed byte and another. */
const LARGEST: f32 = 32639;

/** As integers; what none hold (NaN, too large) becomes any. */
// @ts-ignore: decorator
@inline
function whole(v: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.relaxed_trunc_f32x4_s(v) : i32x4.trunc_sat_f32x4_s(v);
}

/** Sums of blocks past the last, which are read four at a time. */
// @ts-ignore: decorator
@inline
function noMore(sums: usize): void {
  v128.store(sums, i32x4.splat(0));
}

/**
 * Row of x (float32 [K]) -> a int16 [K], steps[b] = absmax / 32639 of block b, sums[b] = steps[b] * sum of its integers, and four zeros.
 * order: 0, or the address of uint32 [K]: column j is x[order[j]]. lanes: how codes come out of 16 bits, 4: inside each 32 columns
 * 0 4 8 .., then 1 5 9 .., 2 6 10 .., 3 7 11 ..; 2: inside each 16 even columns, then odd ones; else in order. Returns 1 where x holds what 16 bits cannot: NaN, infinity, a block below 1e-30, or outliers that make
 * the steps of these blocks too coarse.
 *
 * A number is off by step / sqrt(12) in the mean, so with weights of any sign y is off by sqrt(block * sum of amax^2 / 12) / (32639 |x|) of itself.
 * More than blocks of 32 can come to, 5e-5, is too coarse.
 */
export function prepareRow(x: usize, order: usize, inDim: i32, block: i32, lanes: i32, a: usize, steps: usize, sums: usize, gathered: usize): i32 {
  let source = x;
  if (order != 0) {
    for (let k = 0; k < inDim; k++) store<f32>(gathered + (<usize>k << 2), load<f32>(x + (<usize>load<u32>(order + (<usize>k << 2)) << 2)));
    source = gathered;
  }
  let bad = 0;
  let tops: f64 = 0, squares: f64 = 0;
  for (let k = 0; k < inDim; k += block) {
    let top = f32x4.splat(0), square = f32x4.splat(0);
    for (let j = 0; j < block; j += 4) {
      const v = v128.load(source + (<usize>(k + j) << 2));
      top = f32x4.max(top, f32x4.abs(v));
      square = f32x4.add(square, f32x4.mul(v, v));
    }
    const amax = max(max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)), max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)));
    if (!(amax < f32.MAX_VALUE) || (amax > 0 && amax < 1e-30)) bad = 1;
    tops += <f64>amax * <f64>amax;
    squares += <f64>total(square);
    const inverse = f32x4.splat(amax > 0 ? LARGEST / amax : 0);
    let sum = i32x4.splat(0);
    for (let j = 0; j < block; j += 16) {
      const p = source + (<usize>(k + j) << 2);
      const q0 = whole(f32x4.nearest(f32x4.mul(v128.load(p), inverse)));
      const q1 = whole(f32x4.nearest(f32x4.mul(v128.load(p, 16), inverse)));
      const q2 = whole(f32x4.nearest(f32x4.mul(v128.load(p, 32), inverse)));
      const q3 = whole(f32x4.nearest(f32x4.mul(v128.load(p, 48), inverse)));
      sum = i32x4.add(sum, i32x4.add(i32x4.add(q0, q1), i32x4.add(q2, q3)));
      const lo = i16x8.narrow_i32x4_s(q0, q1), hi = i16x8.narrow_i32x4_s(q2, q3);
      const at = a + (<usize>(k + j) << 1);
      if (lanes == 4) {
        // Half a run of 32: four columns of each of its four parts.
        const half = a + (<usize>((k + j) & ~31) << 1) + (<usize>((k + j) & 16) >> 1);
        const even = i16x8.shuffle(lo, hi, 0, 4, 8, 12, 2, 6, 10, 14), odd = i16x8.shuffle(lo, hi, 1, 5, 9, 13, 3, 7, 11, 15);
        v128.store64_lane(half, even, 0);
        v128.store64_lane(half, odd, 0, 16);
        v128.store64_lane(half, even, 1, 32);
        v128.store64_lane(half, odd, 1, 48);
      } else if (lanes == 2) {
        v128.store(at, even(lo, hi));
        v128.store(at, odd(lo, hi), 16);
      } else {
        v128.store(at, lo);
        v128.store(at, hi, 16);
      }
    }
    const step = amax / LARGEST, b = <usize>(k / block) << 2;
    store<f32>(steps + b, step);
    const integers = i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3);
    store<f32>(sums + b, <f32>integers * step);
  }
  noMore(sums + (<usize>(inDim / block) << 2));
  if (block > 32 && <f64>block * tops > 32 * squares) bad = 1;
  return bad;
}

/**
 * Row of x that is 8-bit codes (int32 [K]) and a scale for each `columns` of them -> what prepareRow makes of it, without an error: steps are the
 * scales. block divides columns, or columns is K or more. With order, one scale must serve the row.
 */
export function prepareCodes(
  codes: usize, scales: usize, columns: i32, order: usize, inDim: i32, block: i32, lanes: i32, a: usize, steps: usize, sums: usize,
): void {
  for (let k = 0, b: usize = 0; k < inDim; k += block, b += 4) {
    let sum = 0, j = k;
    if (order == 0 && lanes == 0) {
      let sums4 = i32x4.splat(0);
      for (; j < k + block; j += 8) {
        const p = codes + (<usize>j << 2), u = v128.load(p), v = v128.load(p, 16);
        sums4 = i32x4.add(sums4, i32x4.add(u, v));
        v128.store(a + (<usize>j << 1), i16x8.narrow_i32x4_s(u, v));
      }
      sum = i32x4.extract_lane(sums4, 0) + i32x4.extract_lane(sums4, 1) + i32x4.extract_lane(sums4, 2) + i32x4.extract_lane(sums4, 3);
    }
    for (; j < k + block; j++) {
      const q = load<i32>(codes + (<usize>(order == 0 ? <u32>j : load<u32>(order + (<usize>j << 2))) << 2));
      const at = lanes == 4 ? (j & ~31) | ((j & 3) << 3) | ((j & 31) >> 2) : lanes == 2 ? (j & ~15) | ((j & 1) << 3) | ((j & 15) >> 1) : j;
      store<i16>(a + (<usize>at << 1), <i16>q);
      sum += q;
    }
    const step = load<f32>(scales + (<usize>(k / columns) << 2));
    store<f32>(steps + b, step);
    store<f32>(sums + b, <f32>sum * step);
  }
  noMore(sums + (<usize>(inDim / block) << 2));
}
