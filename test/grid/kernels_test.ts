/** Every layout the record can express, on every backend and kernel variant, against plain float64 loops over the oracle's rows. */
import * as tf from '@tensorflow/tfjs';
import {activate} from '../../kernels/activation.js';
import {RowReader} from '../../kernels/cpu/row.js';
import {partsOf} from '../../kernels/words.js';
import {type Activation, ops, QuantizedWeight} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {variantsOf} from '../support/variants.js';
import {type NamedWeight, randomWeights, randomX, seeded} from './layouts.js';

const ACTIVATIONS: readonly (Activation | null)[] = [null, 'silu', 'gelu', 'gelu_tanh', 'relu', 'tanh', 'sigmoid'];

function unpacked({layout, words}: NamedWeight): Float32Array {
  const reader = new RowReader(layout, partsOf(layout, words));
  const out = new Float32Array(layout.outDim * layout.inDim);
  for (let n = 0; n < layout.outDim; n++) reader.read(n, out.subarray(n * layout.inDim, (n + 1) * layout.inDim));
  return out.map((v) => v + 0);
}

/**
 * The root of the sum of squared products of each output: what |y| would be without cancellation. Few outputs of few columns can cancel to a
 * hundredth of that by chance, and then no rounding of x reaches the bound; the fixtures' rows (N = 96) are measured by their own norm.
 */
function magnitudes(x: Float32Array, w: Float32Array, m: number, n: number, k: number): Float64Array {
  const squares = (a: Float32Array) => a.map((v) => v * v);
  return product(squares(x), squares(w), m, n, k, null, null).map(Math.sqrt);
}

function product(x: Float32Array, w: Float32Array, m: number, n: number, k: number, bias: Float32Array | null, act: Activation | null) {
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

describe('kernels', () => {
  const weights = randomWeights();
  const dense = new Map(weights.map((w) => [w.name, unpacked(w)]));

  onEachBackend((backend) => {
    const variants = variantsOf(backend);
    afterEach(() => variants.force(null));

    for (const named of weights) {
      const {layout, words, name} = named;
      const expected = dense.get(name) as Float32Array;
      const {outDim: n, inDim: k} = layout;

      it(`unpacks ${name}`, async () => {
        const weight = QuantizedWeight.fromWords(layout, words.slice());
        const all = weight.dequantize();
        expect(all.shape).toEqual([n, k]);
        // Adding 0 turns -0 into 0: the two count as equal.
        expect((await all.data()).map((v) => v + 0)).toEqual(expected);
        const rows = [n - 1, 0, n - 1];
        const some = weight.dequantizeRows(rows);
        expect((await some.data()).map((v) => v + 0)).toEqual(
          Float32Array.from(rows.flatMap((r) => [...expected.subarray(r * k, (r + 1) * k)])),
        );
        const window = weight.window(n >> 1, n);
        const half = window.dequantize();
        expect((await half.data()).map((v) => v + 0)).toEqual(expected.subarray((n >> 1) * k));
        tf.dispose([all, some, half]);
        window.dispose();
        weight.dispose();
      });

      for (const variant of ['auto', ...variants.names]) {
        it(`multiplies ${name}, ${variant}`, async () => {
          variants.force(variant === 'auto' ? null : variant);
          const weight = QuantizedWeight.fromWords(layout, words.slice());
          const random = seeded(n * k);
          const biasValues = Float32Array.from({length: n}, () => random() * 4 - 2);
          const bias = tf.tensor1d(biasValues);
          for (const [i, m] of [1, 2, 5].entries()) {
            const x = randomX(m, k, m);
            const act = ACTIVATIONS[(i + n) % ACTIVATIONS.length] as Activation | null;
            const xt = tf.tensor2d(x, [m, k]);
            const plain = ops.quantizedMatMul(xt, weight);
            const fused = ops.quantizedMatMul(xt, weight, {bias, activation: act});
            const exact = ops.quantizedMatMul(xt, weight, {bias, inputPrecision: 'float32'});
            const {bound} = variants.choose(layout, m, 'auto');
            const norms = magnitudes(x, expected, m, n, k);
            expect(rowErrors(await plain.data(), product(x, expected, m, n, k, null, null), n, norms)).toBeLessThan(bound);
            // y holds the bias too, in float32.
            const withBias = norms.map((v, i) => Math.hypot(v, biasValues[i % n] as number));
            expect(rowErrors(await fused.data(), product(x, expected, m, n, k, biasValues, act), n, withBias)).toBeLessThan(bound);
            expect(rowErrors(await exact.data(), product(x, expected, m, n, k, biasValues, null), n, withBias)).toBeLessThan(1e-6);
            tf.dispose([xt, plain, fused, exact]);
          }
          bias.dispose();
          weight.dispose();
        });
      }
    }
  });
});
