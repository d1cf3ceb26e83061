/** What a packed weight and its products should be: the oracle's rows, and plain float64 sums over them. */
import {type Activation, activate} from '../../kernels/activation.js';
import {RowReader} from '../../kernels/cpu/row.js';
import type {WeightLayout} from '../../kernels/layout.js';
import {partsOf} from '../../kernels/words.js';

/** W [N, K]; -0 as 0, which counts as equal. */
export function unpacked({layout, words}: {layout: WeightLayout; words: Int32Array}): Float32Array {
  const reader = new RowReader(layout, partsOf(layout, words));
  const out = new Float32Array(layout.outDim * layout.inDim);
  for (let n = 0; n < layout.outDim; n++) reader.read(n, out.subarray(n * layout.inDim, (n + 1) * layout.inDim));
  return out.map((v) => v + 0);
}

/** act(x [m, k] . w [n, k]^T + bias) */
export function productOf(
  x: ArrayLike<number>,
  w: Float32Array,
  m: number,
  n: number,
  bias: ArrayLike<number> | null = null,
  act: Activation | null = null,
): Float64Array {
  const k = w.length / n;
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = bias === null ? 0 : (bias[j] as number);
      for (let c = 0; c < k; c++) sum += (x[i * k + c] as number) * (w[j * k + c] as number);
      y[i * n + j] = activate(act, sum);
    }
  }
  return y;
}

/** What |y| would be without cancellation: the root of the sum of squared products, and of the bias, of each output. */
export function magnitudesOf(x: Float32Array, w: Float32Array, m: number, n: number, bias: Float32Array | null = null): Float64Array {
  const squares = (a: Float32Array) => a.map((v) => v * v);
  return productOf(squares(x), squares(w), m, n, bias === null ? null : squares(bias)).map(Math.sqrt);
}
