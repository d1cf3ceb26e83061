// Steps between products that would take several kernels each: gated activation and root-mean-square normalisation.
import {activate} from './epilogue';
import {fma, total} from './vectors';

/** e^x of four float32 lanes to 2e-7, x in [-87, 88]. Source: the Cephes library's expf. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504)));
  const r = fma(fma(x, n, f32x4.splat(-0.693359375)), n, f32x4.splat(2.12194440e-4));
  let p = fma(f32x4.splat(1.3981999507e-3), f32x4.splat(1.9875691500e-4), r);
  p = fma(f32x4.splat(8.3334519073e-3), p, r);
  p = fma(f32x4.splat(4.1665795894e-2), p, r);
  p = fma(f32x4.splat(1.6666665459e-1), p, r);
  p = fma(f32x4.splat(5.0000001201e-1), p, r);
  p = f32x4.add(fma(r, f32x4.mul(r, r), p), f32x4.splat(1));
  return f32x4.mul(p, i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23));
}

/** x / (1 + e^-x); below -87 its limit 0. */
// @ts-ignore: decorator
@inline
function silu4(x: v128): v128 {
  const low = f32x4.splat(-87), e = exp4(f32x4.min(f32x4.splat(87), f32x4.max(low, f32x4.neg(x))));
  return v128.andnot(f32x4.div(x, f32x4.add(f32x4.splat(1), e)), f32x4.lt(x, low));
}

/** act(g) * u of n numbers each. kind as in epilogue.ts. */
export function gatedRow(g: usize, u: usize, n: i32, kind: i32, out: usize): void {
  let i = 0;
  if (kind == 1) {
    for (; i + 4 <= n; i += 4) {
      const at = <usize>i << 2;
      v128.store(out + at, f32x4.mul(silu4(v128.load(g + at)), v128.load(u + at)));
    }
  }
  for (; i < n; i++) {
    const at = <usize>i << 2;
    store<f32>(out + at, <f32>activate(kind, load<f32>(g + at)) * load<f32>(u + at));
  }
}

/** x [rows, 2 n] -> act(first half) * second half, [rows, n]. */
export function gated(x: usize, rows: i32, n: i32, kind: i32, out: usize): void {
  const bytes = <usize>n << 2;
  for (let m = 0; m < rows; m++, x += 2 * bytes, out += bytes) gatedRow(x, x + bytes, n, kind, out);
}

/** x [rows, k] -> x / sqrt(mean(x^2) + epsilon) * weight [k]. */
export function rmsNorm(x: usize, weight: usize, rows: i32, k: i32, epsilon: f64, out: usize): void {
  for (let m = 0; m < rows; m++) {
    const p = x + (<usize>(m * k) << 2), o = out + (<usize>(m * k) << 2);
    let sum: f64 = 0, j = 0;
    for (; j + 4 <= k; ) {
      const end = min(k & ~3, j + 256);
      let f = f32x4.splat(0);
      for (; j < end; j += 4) {
        const v = v128.load(p + (<usize>j << 2));
        f = fma(f, v, v);
      }
      sum += total(f);
    }
    for (; j < k; j++) {
      const v = <f64>load<f32>(p + (<usize>j << 2));
      sum += v * v;
    }
    const scale = <f32>(1 / sqrt(sum / k + epsilon)), s = f32x4.splat(scale);
    for (j = 0; j + 4 <= k; j += 4) {
      const at = <usize>j << 2;
      v128.store(o + at, f32x4.mul(f32x4.mul(v128.load(p + at), s), v128.load(weight + at)));
    }
    for (; j < k; j++) {
      const at = <usize>j << 2;
      store<f32>(o + at, load<f32>(p + at) * scale * load<f32>(weight + at));
    }
  }
}

/** y [count] += x. */
export function addTo(y: usize, x: usize, count: i32): void {
  const end = y + (<usize>count << 2);
  for (; y + 16 <= end; y += 16, x += 16) v128.store(y, f32x4.add(v128.load(x), v128.load(y)));
  for (; y < end; y += 4, x += 4) store<f32>(y, load<f32>(x) + load<f32>(y));
}
