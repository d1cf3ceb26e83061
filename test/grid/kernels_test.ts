/** Every layout the record can express, on every backend and kernel variant, against plain float64 loops over the oracle's rows. */
import * as tf from '@tensorflow/tfjs';
import {type Activation, ops, QuantizedWeight} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {variantsOf} from '../support/variants.js';
import {randomWeights, randomX, seeded} from './layouts.js';

const ACTIVATIONS: readonly (Activation | null)[] = [null, 'silu', 'gelu', 'gelu_tanh', 'relu', 'tanh', 'sigmoid'];

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
            // Few outputs of few columns can cancel to a hundredth by chance, which no rounding of x survives: not their own norm.
            const norms = magnitudesOf(x, expected, m, n);
            expect(rowErrors(await plain.data(), productOf(x, expected, m, n), n, norms)).toBeLessThan(bound);
            // y holds the bias too, in float32.
            const withBias = magnitudesOf(x, expected, m, n, biasValues);
            expect(rowErrors(await fused.data(), productOf(x, expected, m, n, biasValues, act), n, withBias)).toBeLessThan(bound);
            expect(rowErrors(await exact.data(), productOf(x, expected, m, n, biasValues), n, withBias)).toBeLessThan(1e-6);
            tf.dispose([xt, plain, fused, exact]);
          }
          bias.dispose();
          weight.dispose();
        });
      }
    }
  });
});
