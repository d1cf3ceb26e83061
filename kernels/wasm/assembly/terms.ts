// What each row of W multiplies its blocks by, and what its zeros and offsets add to its result, for integers of x with a step a block.
import {blockOffsets, blockScales, blockZeros} from './blocks';
import {OFFSETS, ZERO_KIND, ZERO_VALUE, field} from './layout';
import {fma, total} from './vectors';

function dotFloats(a: usize, b: usize, count: i32): f32 {
  let sum = f32x4.splat(0), i = 0;
  for (; i + 4 <= count; i += 4) sum = fma(sum, v128.load(a + (<usize>i << 2)), v128.load(b + (<usize>i << 2)));
  let t = total(sum);
  for (; i < count; i++) t += load<f32>(a + (<usize>i << 2)) * load<f32>(b + (<usize>i << 2));
  return t;
}

/** Scales of row n times the steps of x into `scales`; returns what zero and offset add to the row's result. `zero` is added to a constant zero. */
export function rowTerms(w: usize, d: usize, n: i32, block: i32, blocks: i32, steps: usize, sums: usize, scales: usize, extra: usize, zero: f32): f32 {
  blockScales(w, d, n, block, blocks, scales);
  const kind = field(d, ZERO_KIND), whole = <usize>(blocks & ~3) << 2, end = <usize>blocks << 2;
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
    const value = (kind == 1 ? <f32>field(d, ZERO_VALUE) : 0) + zero;
    terms = value == 0 ? 0 : -value * (terms + total(sum));
  }
  if (field(d, OFFSETS) > 0) {
    blockOffsets(w, d, n, block, blocks, extra);
    terms += dotFloats(extra, sums, blocks);
  }
  return terms;
}
