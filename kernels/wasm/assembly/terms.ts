// What each row of W multiplies its blocks by, and what its zeros and offsets add to its result, for integers of x with a step a block.
import {blockOffsets, blockScales, blockZeros} from './blocks';
import {
  DIVIDE0, GRID_COLUMNS, GRID_COLUMN_PHASE, GRID_INDEXED, GRID_ROWS, GRID_WIDTH, LEVEL_START, LEVEL_TYPE, OFFSET0, OFFSETS, SCALE0, SCALES, ZERO_KIND,
  ZERO_VALUE, field, kept, unknownZeros, wordsAt,
} from './layout';
import {BIAS, EDGE, MAGNITUDE, TOP, fma, halves, total} from './vectors';

function dotFloats(a: usize, b: usize, count: i32): f32 {
  let sum = f32x4.splat(0), i = 0;
  for (; i + 4 <= count; i += 4) sum = fma(sum, v128.load(a + (<usize>i << 2)), v128.load(b + (<usize>i << 2)));
  let t = total(sum);
  for (; i < count; i++) t += load<f32>(a + (<usize>i << 2)) * load<f32>(b + (<usize>i << 2));
  return t;
}

/** A float16 for each block of each row, in order? */
// @ts-ignore: decorator
@inline
function isHalves(l: usize, block: i32): bool {
  return field(l, LEVEL_TYPE) == 1 && field(l, GRID_COLUMNS) == block && field(l, GRID_ROWS) == 1 && (field(l, GRID_INDEXED) | field(l, GRID_COLUMN_PHASE)) == 0;
}

/** Row n of such a level. */
// @ts-ignore: decorator
@inline
function halvesAt(w: usize, l: usize, n: i32): usize {
  return wordsAt(w, l, LEVEL_START) + (<usize>(n * field(l, GRID_WIDTH)) << 1);
}

/** Whether scales, and offsets if there are any, are float16 of one level, a block each, and a zero is a constant: most 4-bit weights. */
export function inHalves(d: usize, block: i32): bool {
  const offsets = field(d, OFFSETS);
  return (
    field(d, ZERO_KIND) != 2 && field(d, SCALES) == 1 && !field(d, DIVIDE0) && isHalves(d + SCALE0, block) &&
    (offsets == 0 || (offsets == 1 && isHalves(d + OFFSET0, block)))
  );
}

/** rowTerms of such a weight: up to three blocks that are none count, whose sums are 0. */
function halvesTerms(w: usize, d: usize, n: i32, blocks: i32, steps: usize, sums: usize, scales: usize, zero: f32): v128 {
  const zeros = unknownZeros(d), magnitude = kept(zeros, MAGNITUDE), bias = kept(zeros, BIAS), edge = kept(zeros, EDGE), top = kept(zeros, TOP);
  const end = scales + (<usize>blocks << 2), toSums = sums - scales, toSteps = steps - scales, value = constantZero(d, zero);
  let p = halvesAt(w, d + SCALE0, n), at = scales, sum = zeros;
  if (field(d, OFFSETS) == 0) {
    for (; at < end; at += 16, p += 8) {
      const s = halves(p, magnitude, bias, edge, top);
      sum = fma(sum, s, v128.load(at + toSums));
      v128.store(at, f32x4.mul(s, v128.load(at + toSteps)));
    }
    return value == 0 ? zeros : f32x4.mul(f32x4.splat(-value), sum);
  }
  let offset = zeros;
  for (let q = halvesAt(w, d + OFFSET0, n); at < end; at += 16, p += 8, q += 8) {
    const s = halves(p, magnitude, bias, edge, top), u = v128.load(at + toSums);
    sum = fma(sum, s, u);
    offset = fma(offset, halves(q, magnitude, bias, edge, top), u);
    v128.store(at, f32x4.mul(s, v128.load(at + toSteps)));
  }
  return value == 0 ? offset : fma(offset, f32x4.splat(-value), sum);
}

// @ts-ignore: decorator
@inline
function constantZero(d: usize, zero: f32): f32 {
  return (field(d, ZERO_KIND) == 1 ? <f32>field(d, ZERO_VALUE) : 0) + zero;
}

/**
 * Scales of row n times the steps of x into `scales`; returns four numbers that together are what zero and offset add to the row's result. `zero` is
 * added to a constant zero. fast: as `inHalves` says.
 */
// @ts-ignore: decorator
@inline
export function rowTerms(
  fast: bool, w: usize, d: usize, n: i32, block: i32, blocks: i32, steps: usize, sums: usize, scales: usize, extra: usize, zero: f32,
): v128 {
  if (fast) return halvesTerms(w, d, n, blocks, steps, sums, scales, zero);
  return f32x4.replace_lane(f32x4.splat(0), 0, anyTerms(w, d, n, block, blocks, steps, sums, scales, extra, zero));
}

/** rowTerms of any weight, as one number. */
function anyTerms(w: usize, d: usize, n: i32, block: i32, blocks: i32, steps: usize, sums: usize, scales: usize, extra: usize, zero: f32): f32 {
  const kind = field(d, ZERO_KIND), offsets = field(d, OFFSETS);
  blockScales(w, d, n, block, blocks, scales);
  const whole = <usize>(blocks & ~3) << 2, end = <usize>blocks << 2;
  let terms: f32 = 0, sum = f32x4.splat(0), at: usize = 0;
  if (kind == 2) {
    blockZeros(w, d, n, block, blocks, extra);
    for (; at < whole; at += 16) {
      const s = v128.load(scales + at);
      sum = fma(sum, f32x4.mul(s, v128.load(extra + at)), v128.load(sums + at));
      v128.store(scales + at, f32x4.mul(s, v128.load(steps + at)));
    }
    for (; at < end; at += 4) {
      const s = load<f32>(scales + at);
      terms -= s * load<f32>(extra + at) * load<f32>(sums + at);
      store<f32>(scales + at, s * load<f32>(steps + at));
    }
    terms -= total(sum);
  } else {
    for (; at < whole; at += 16) {
      const s = v128.load(scales + at);
      sum = fma(sum, s, v128.load(sums + at));
      v128.store(scales + at, f32x4.mul(s, v128.load(steps + at)));
    }
    for (; at < end; at += 4) {
      const s = load<f32>(scales + at);
      terms += s * load<f32>(sums + at);
      store<f32>(scales + at, s * load<f32>(steps + at));
    }
    const value = constantZero(d, zero);
    terms = value == 0 ? 0 : -value * (terms + total(sum));
  }
  if (offsets > 0) {
    blockOffsets(w, d, n, block, blocks, extra);
    terms += dotFloats(extra, sums, blocks);
  }
  return terms;
}
