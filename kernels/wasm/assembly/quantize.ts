// x to 8 or 4 bits, in place of kernels/cpu/quantize.ts: the same steps, each rounded to float32.

// Fields of the descriptor a call leaves in memory.
const GRANULARITY: usize = 0; // 0 tensor, 1 colwise, 2 rowwise, 3 block
const BLOCK: usize = 4;
const MANTISSA: usize = 8; // bits; -1 is int8
const BIAS: usize = 12;
const NAN_CODE: usize = 16;
const SIGN_BIT: usize = 20;
const MAX: usize = 24;
const SCALE_UB: usize = 28;
const FLOOR: usize = 32;
const DIVISOR: usize = 36;
const RECIPROCAL: usize = 40;
const GLOBAL: usize = 44;
const VALUES: usize = 48;
const SCALE_COUNT: usize = 52; // 0: dynamic
const UNSIGNED_ZERO: usize = 56; // fnuz: no negative zero

// @ts-ignore: decorator
@inline
function entryOf(d: usize, blocks: i32, m: i32, k: i32): i32 {
  const g = load<i32>(d + GRANULARITY);
  return g == 0 ? 0 : g == 1 ? m : g == 2 ? k : m * blocks + k / load<i32>(d + BLOCK);
}

/** Where the columns end that share column k's entry. */
// @ts-ignore: decorator
@inline
function runEnd(d: usize, inDim: i32, k: i32): i32 {
  const g = load<i32>(d + GRANULARITY), block = load<i32>(d + BLOCK);
  return g == 2 ? k + 1 : g == 3 ? min(inDim, k - k % block + block) : inDim;
}

/** The number nearest to v among floats of `mantissa` bits and this bias; |v| at most the largest of them. */
function roundFloat(v: f32, mantissa: i32, bias: i32): f32 {
  const magnitude = abs(v);
  // Below the smallest normal number the step is constant. bfloat16 has float32's own exponents: its bits round as they are.
  if (bias < 127 && magnitude < reinterpret<f32>((128 - bias) << 23)) {
    const steps = reinterpret<f32>((127 + bias - 1 + mantissa) << 23), back = reinterpret<f32>((127 - bias + 1 - mantissa) << 23);
    return copysign(nearest(magnitude * steps) * back, v);
  }
  const shift = 23 - mantissa;
  let bits = reinterpret<u32>(magnitude);
  bits = (bits + ((1 << (shift - 1)) - 1) + ((bits >> shift) & 1)) & ~((1 << shift) - 1);
  return copysign(reinterpret<f32>(bits), v);
}

/** The code of a number that roundFloat gave. */
function codeOf(v: f32, mantissa: i32, bias: i32, d: usize): i32 {
  const magnitude = abs(v);
  const negative = reinterpret<u32>(v) >> 31;
  let code: i32;
  if (bias < 127 && magnitude < reinterpret<f32>((128 - bias) << 23)) code = <i32>(magnitude * reinterpret<f32>((127 + bias - 1 + mantissa) << 23));
  else code = <i32>(reinterpret<u32>(magnitude) >> (23 - mantissa)) - ((127 - bias) << mantissa);
  return negative && !(code == 0 && load<i32>(d + UNSIGNED_ZERO)) ? code | load<i32>(d + SIGN_BIT) : code;
}

function bounded(d: usize, amax: f32): f32 {
  const low = max(amax, load<f32>(d + FLOOR));
  return amax != amax ? amax : min(low, load<f32>(d + SCALE_UB));
}

function dynamicScale(d: usize, amax: f32): f32 {
  const s = bounded(d, amax) / load<f32>(d + DIVISOR), global = load<f32>(d + GLOBAL);
  return global == 0 ? s : roundFloat(min(global * s, 448), 3, 7) / global;
}

/**
 * x [m, k] float32 -> out [m, k] (float32 values or int32 codes) and scales [count]. given: static scales (SCALE_COUNT of them, 1 for all) or 0.
 * inverses: scratch of count float32.
 */
export function quantize(d: usize, x: usize, given: usize, m: i32, k: i32, count: i32, out: usize, scales: usize, inverses: usize): void {
  const block = load<i32>(d + BLOCK), blocks = block == 0 ? 1 : (k + block - 1) / block;
  const given1 = load<i32>(d + SCALE_COUNT);
  if (given1 > 0) {
    for (let e = 0; e < count; e++) store<f32>(scales + (<usize>e << 2), load<f32>(given + (<usize>(given1 == 1 ? 0 : e) << 2)));
  } else {
    memory.fill(inverses, 0, <usize>count << 2);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < k; ) {
        const at = inverses + (<usize>entryOf(d, blocks, i, j) << 2), end = runEnd(d, k, j);
        let tops = v128.load32_splat(at);
        for (; j + 4 <= end; j += 4) tops = f32x4.max(tops, f32x4.abs(v128.load(x + (<usize>(i * k + j) << 2))));
        let top = max(max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)), max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)));
        for (; j < end; j++) top = max(top, abs(load<f32>(x + (<usize>(i * k + j) << 2))));
        store<f32>(at, top);
      }
    }
    const divisor = load<f32>(d + DIVISOR);
    for (let e = 0; e < count; e++) {
      const at = inverses + (<usize>e << 2), amax = load<f32>(at), b = bounded(d, amax);
      store<f32>(scales + (<usize>e << 2), dynamicScale(d, amax));
      store<f32>(at, b == 0 ? 0 : divisor / b);
    }
  }
  const mantissa = load<i32>(d + MANTISSA), bias = load<i32>(d + BIAS), top = load<f32>(d + MAX), reciprocal = load<i32>(d + RECIPROCAL), values = load<i32>(d + VALUES);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < k; ) {
      const e = <usize>entryOf(d, blocks, i, j) << 2, end = runEnd(d, k, j), s = load<f32>(scales + e);
      const inverse: f32 = given1 > 0 ? 1 / s : load<f32>(inverses + e);
      if (mantissa < 0 && !values && s != 0) {
        const factor = f32x4.splat(inverse), divisor = f32x4.splat(s);
        for (; j + 4 <= end; j += 4) {
          const at = <usize>(i * k + j) << 2, v = v128.load(x + at), q = reciprocal ? f32x4.mul(v, factor) : f32x4.div(v, divisor);
          // NaN becomes 0.
          v128.store(out + at, i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.max(f32x4.splat(-128), f32x4.min(f32x4.splat(127), q)))));
        }
      }
      for (; j < end; j++) {
        const at = <usize>(i * k + j) << 2;
        let v = load<f32>(x + at);
        if (s == 0) v = v != v ? v : 0;
        else v = reciprocal ? v * inverse : v / s;
        if (mantissa < 0) {
          const q: f32 = v != v ? 0 : nearest(max<f32>(-128, min<f32>(127, v)));
          if (values) store<f32>(out + at, q * s);
          else store<i32>(out + at, <i32>q);
        } else if (v != v) {
          if (values) store<f32>(out + at, v * s);
          else store<i32>(out + at, load<i32>(d + NAN_CODE));
        } else {
          const q = roundFloat(max(-top, min(top, v)), mantissa, bias);
          if (values) store<f32>(out + at, q * s);
          else store<i32>(out + at, codeOf(q, mantissa, bias, d));
        }
      }
    }
  }
}
