// Y = X . W^T for several rows of x in bytes, where the engine has relaxed SIMD (see gemv_dots.ts): four rows of W become bytes once and meet every row of x.
import {blockOffsets, blockScales, blockZeros} from './blocks';
import {rowFours} from './fours';
import {dot, joined, laneScales} from './gemv_dots';
import {DECODE, IN_DIM, OFFSETS, TABLE_FACTOR, TABLE_LOWEST, ZERO_KIND, ZERO_VALUE, field} from './layout';
import {fma, total} from './vectors';

/** Scales of row n's blocks, and what each block adds to a product for each unit of the sum of its x. */
function rowLevels(w: usize, d: usize, n: i32, block: i32, blocks: i32, scales: usize, extra: usize, spare: usize): void {
  const tabled = field(d, DECODE) == 6, factor = tabled ? load<f32>(d + TABLE_FACTOR) : 1, kind = field(d, ZERO_KIND), hasOffset = field(d, OFFSETS) > 0;
  blockScales(w, d, n, block, blocks, scales);
  if (kind == 2) blockZeros(w, d, n, block, blocks, extra);
  if (hasOffset) blockOffsets(w, d, n, block, blocks, spare);
  const value = tabled ? -<f32>field(d, TABLE_LOWEST) : kind == 1 ? <f32>field(d, ZERO_VALUE) : 0;
  for (let at: usize = 0, end = <usize>blocks << 2; at < end; at += 4) {
    const s = load<f32>(scales + at) * factor, z = kind == 2 ? load<f32>(extra + at) : value;
    store<f32>(scales + at, s);
    store<f32>(extra + at, hasOffset ? load<f32>(spare + at) - z * s : -z * s);
  }
}

/** What zeros and offsets of a row of W add, for the sums of one row of x. */
// @ts-ignore: decorator
@inline
function terms(extra: usize, sums: usize, blocks: i32): f32 {
  let sum = f32x4.splat(0), b = 0;
  for (; b + 4 <= blocks; b += 4) sum = fma(sum, v128.load(extra + (<usize>b << 2)), v128.load(sums + (<usize>b << 2)));
  let t = total(sum);
  for (; b < blocks; b++) t += load<f32>(extra + (<usize>b << 2)) * load<f32>(sums + (<usize>b << 2));
  return t;
}

/** Four rows of bytes at q, `inDim` apart, times one row of x; scales are `run` apart. y of the four at out. */
// @ts-ignore: decorator
@inline
function quad(two: bool, q: usize, inDim: usize, x: usize, block: i32, steps: usize, s: usize, run: usize, out: usize): void {
  const unit = max(block, 64), scaleStep = <usize>(unit / block) << 2, end = q + inDim, i2 = inDim << 1, i3 = inDim + i2, low: usize = 64;
  let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0;
  for (; q < end; s += scaleStep, steps += scaleStep) {
    let h0 = i32x4.splat(0), h1 = h0, h2 = h0, h3 = h0, l0 = h0, l1 = h0, l2 = h0, l3 = h0;
    for (let j = 0; j < unit; j += 64, x += two ? 64 : 0) {
      for (const stop = q + 64; q < stop; q += 16, x += 16) {
        const high = v128.load(x), v0 = v128.load(q), v1 = v128.load(q + inDim), v2 = v128.load(q + i2), v3 = v128.load(q + i3);
        h0 = dot(high, v0, h0);
        h1 = dot(high, v1, h1);
        h2 = dot(high, v2, h2);
        h3 = dot(high, v3, h3);
        if (two) {
          const r = v128.load(x + low);
          l0 = dot(r, v0, l0);
          l1 = dot(r, v1, l1);
          l2 = dot(r, v2, l2);
          l3 = dot(r, v3, l3);
        }
      }
    }
    const step = laneScales(block, steps);
    f0 = fma(f0, joined(two, h0, l0), f32x4.mul(step, laneScales(block, s)));
    f1 = fma(f1, joined(two, h1, l1), f32x4.mul(step, laneScales(block, s + run)));
    f2 = fma(f2, joined(two, h2, l2), f32x4.mul(step, laneScales(block, s + 2 * run)));
    f3 = fma(f3, joined(two, h3, l3), f32x4.mul(step, laneScales(block, s + 3 * run)));
  }
  store<f32>(out, total(f0));
  store<f32>(out, total(f1), 4);
  store<f32>(out, total(f2), 8);
  store<f32>(out, total(f3), 12);
}

/**
 * Rows begin..end of W times `rows` rows of x that `prepareBytes` left at a in lanes of 4, K (two: 2 K) bytes each; K a multiple of 64.
 * steps and sums float32 [rows, stride]. y [rows, yStride] with row `begin` of W in column 0.
 * scratch: 4 rows of K bytes, 9 runs of blocks + 4 float32, 16 bytes.
 */
export function gemmDots(
  w: usize, d: usize, a: usize, steps: usize, sums: usize, stride: i32, rows: i32, block: i32, blocks: i32,
  begin: i32, end: i32, y: usize, yStride: i32, scratch: usize, two: i32,
): void {
  const inDim = <usize>field(d, IN_DIM), run = <usize>(blocks + 4) << 2, xBytes = two ? inDim << 1 : inDim;
  const s0 = scratch + 4 * inDim, e0 = s0 + 4 * run, spare = e0 + 4 * run, out = spare + run;
  for (let n = begin; n < end; n += 4) {
    for (let r = 0; r < 4; r++) {
      const row = min(n + r, end - 1);
      rowFours(w, d, row, scratch + <usize>r * inDim);
      rowLevels(w, d, row, block, blocks, s0 + <usize>r * run, e0 + <usize>r * run, spare);
    }
    const count = min(4, end - n);
    for (let m = 0; m < rows; m++) {
      const x = a + <usize>m * xBytes, at = <usize>(m * stride) << 2;
      if (two) quad(true, scratch, inDim, x, block, steps + at, s0, run, out);
      else quad(false, scratch, inDim, x, block, steps + at, s0, run, out);
      for (let r = 0; r < count; r++) {
        const v = load<f32>(out + (<usize>r << 2)) + terms(e0 + <usize>r * run, sums + at, blocks);
        store<f32>(y + (<usize>(m * yStride + n + r - begin) << 2), v);
      }
    }
  }
}
