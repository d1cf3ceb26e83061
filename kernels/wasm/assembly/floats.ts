// Y = X . W^T with x as it is: rows of W are expanded to float32, four at a time, every layout.
import {rowFloats} from './expand';
import {IN_DIM, field} from './layout';
import {RUN, fma, total, total64, widen} from './vectors';

/** Row of x in stored order. */
export function gatherRow(x: usize, order: usize, inDim: i32, out: usize): void {
  for (let k = 0; k < inDim; k++) store<f32>(out + (<usize>k << 2), load<f32>(x + (<usize>load<u32>(order + (<usize>k << 2)) << 2)));
}

function dotRow(w: usize, x: usize, inDim: i32): f32 {
  let sum: f64 = 0, k = 0;
  while (k + 8 <= inDim) {
    const end = min(inDim & ~7, k + RUN);
    let f0 = f32x4.splat(0), f1 = f0;
    for (; k < end; k += 8) {
      const at = <usize>k << 2;
      f0 = fma(f0, v128.load(w + at), v128.load(x + at));
      f1 = fma(f1, v128.load(w + at, 16), v128.load(x + at, 16));
    }
    sum += total(f32x4.add(f0, f1));
  }
  for (; k < inDim; k++) sum += <f64>load<f32>(w + (<usize>k << 2)) * <f64>load<f32>(x + (<usize>k << 2));
  return <f32>sum;
}

/**
 * Rows begin0..end of W times x float32 [rows, K] (in stored order). y [rows, yStride], row `begin0` of W in column 0.
 * scratch: 4 rows of K float32 and K rounded up to 32 bytes.
 */
export function gemmFloats(w: usize, d: usize, x: usize, rows: i32, begin0: i32, end: i32, y: usize, yStride: i32, scratch: usize): void {
  const inDim = field(d, IN_DIM), rowBytes = <usize>inDim << 2, bytes = scratch + 4 * rowBytes;
  for (let n = begin0; n < end; n += 4) {
    const count = min(4, end - n);
    for (let r = 0; r < count; r++) rowFloats(w, d, n + r, scratch + <usize>r * rowBytes, bytes);
    let m = 0;
    if (count == 4) {
      const whole = inDim & ~3;
      for (; m + 2 <= rows; m += 2) {
        const x0 = x + <usize>m * rowBytes, x1 = x0 + rowBytes;
        let a0 = f64x2.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        for (let begin = 0; begin < whole; begin += RUN) {
          const stop = <usize>min(whole, begin + RUN) << 2;
          let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0, g0 = f0, g1 = f0, g2 = f0, g3 = f0;
          for (let k = <usize>begin << 2; k < stop; k += 16) {
            const u = v128.load(x0 + k), v = v128.load(x1 + k), q = scratch + k;
            let t = v128.load(q);
            f0 = fma(f0, t, u); g0 = fma(g0, t, v);
            t = v128.load(q + rowBytes);
            f1 = fma(f1, t, u); g1 = fma(g1, t, v);
            t = v128.load(q + 2 * rowBytes);
            f2 = fma(f2, t, u); g2 = fma(g2, t, v);
            t = v128.load(q + 3 * rowBytes);
            f3 = fma(f3, t, u); g3 = fma(g3, t, v);
          }
          a0 = widen(a0, f0); a1 = widen(a1, f1); a2 = widen(a2, f2); a3 = widen(a3, f3);
          b0 = widen(b0, g0); b1 = widen(b1, g1); b2 = widen(b2, g2); b3 = widen(b3, g3);
        }
        for (let k = whole; k < inDim; k++) {
          const at = <usize>k << 2, u = f64x2.promote_low_f32x4(v128.load32_zero(x0 + at)), v = f64x2.promote_low_f32x4(v128.load32_zero(x1 + at)), q = scratch + at;
          let t = f64x2.promote_low_f32x4(v128.load32_zero(q));
          a0 = f64x2.add(a0, f64x2.mul(t, u)); b0 = f64x2.add(b0, f64x2.mul(t, v));
          t = f64x2.promote_low_f32x4(v128.load32_zero(q + rowBytes));
          a1 = f64x2.add(a1, f64x2.mul(t, u)); b1 = f64x2.add(b1, f64x2.mul(t, v));
          t = f64x2.promote_low_f32x4(v128.load32_zero(q + 2 * rowBytes));
          a2 = f64x2.add(a2, f64x2.mul(t, u)); b2 = f64x2.add(b2, f64x2.mul(t, v));
          t = f64x2.promote_low_f32x4(v128.load32_zero(q + 3 * rowBytes));
          a3 = f64x2.add(a3, f64x2.mul(t, u)); b3 = f64x2.add(b3, f64x2.mul(t, v));
        }
        const out = y + (<usize>(m * yStride + n - begin0) << 2), out1 = out + (<usize>yStride << 2);
        store<f32>(out, <f32>total64(a0)); store<f32>(out, <f32>total64(a1), 4); store<f32>(out, <f32>total64(a2), 8); store<f32>(out, <f32>total64(a3), 12);
        store<f32>(out1, <f32>total64(b0)); store<f32>(out1, <f32>total64(b1), 4); store<f32>(out1, <f32>total64(b2), 8); store<f32>(out1, <f32>total64(b3), 12);
      }
    }
    for (let r = 0; r < count; r++) {
      for (let i = m; i < rows; i++) {
        store<f32>(y + (<usize>(i * yStride + n + r - begin0) << 2), dotRow(scratch + <usize>r * rowBytes, x + <usize>i * rowBytes, inDim));
      }
    }
  }
}
