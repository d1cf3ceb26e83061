/** Gated activation and RMS normalisation against float64, on every backend. */
import * as tf from '@tensorflow/tfjs';
import {ACTIVATIONS, activate} from '../../kernels/activation.js';
import {ops} from '../../src/index.js';
import {BACKENDS_AND_WEBGPU, onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {randomX} from './layouts.js';

describe('fused steps', () => {
  onEachBackend(() => {
    for (const activation of ACTIVATIONS) {
      it(`gates with ${activation}`, async () => {
        for (const [m, n] of [
          [1, 1],
          [3, 7],
          [2, 64],
        ] as const) {
          const values = randomX(m, 2 * n, n).map((v) => v * 20);
          const x = tf.tensor3d(values, [1, m, 2 * n]);
          const y = ops.gatedActivation(x, activation);
          expect(y.shape).toEqual([1, m, n]);
          const expected = Array.from({length: m * n}, (_, i) => {
            const at = Math.floor(i / n) * 2 * n + (i % n);
            return activate(activation, values[at] as number) * (values[at + n] as number);
          });
          expect(rowErrors(await y.data(), expected, n)).toBeLessThan(1e-6);
          tf.dispose([x, y]);
        }
      });
    }

    it('gives the limits of silu', async () => {
      const x = tf.tensor2d([-1e9, -Infinity, -88, -87, 0, 88, 1e9, NaN, 1, 1, 1, 1, 1, 1, 1, 1], [1, 16]);
      const y = ops.gatedActivation(x, 'silu');
      const got = [...(await y.data())];
      expect(got.slice(0, 2).map(Math.abs)).toEqual([0, 0]);
      expect(Math.max(...got.slice(2, 4).map(Math.abs))).toBeLessThan(1e-30);
      expect(got.slice(4, 7)).toEqual([0, 88, 1e9]);
      expect(got[7]).toBeNaN();
      tf.dispose([x, y]);
    });

    for (const activation of ['silu', 'gelu', 'gelu_tanh'] as const) {
      it(`gives the limits of ${activation} where gradients are recorded`, async () => {
        const x = tf.tensor2d([-Infinity, -1e9, 1, 1], [1, 4]);
        const {value, grad} = tf.valueAndGrad((t) => tf.sum(ops.gatedActivation(t, activation)))(x);
        expect(Math.abs((await value.data())[0] as number)).toBe(0);
        expect(Array.from(await grad.data(), Math.abs)).toEqual([0, 0, 0, 0]);
        tf.dispose([x, value, grad]);
      });
    }

    it('normalises rows', async () => {
      for (const [m, k] of [
        [1, 1],
        [2, 37],
        [3, 576],
        [2, 4100],
      ] as const) {
        const values = randomX(m, k, k).map((v, i) => (i < k ? v * 1000 : v * 1e-4));
        const scale = randomX(1, k, 2);
        const x = tf.tensor2d(values, [m, k]);
        const weight = tf.tensor1d(scale);
        const y = ops.rmsNorm(x, weight, 1e-5);
        const expected: number[] = [];
        for (let i = 0; i < m; i++) {
          const row = values.subarray(i * k, (i + 1) * k);
          const mean = row.reduce((a, v) => a + v * v, 0) / k;
          row.forEach((v, j) => expected.push((v / Math.sqrt(mean + 1e-5)) * (scale[j] as number)));
        }
        expect(rowErrors(await y.data(), expected, k)).toBeLessThan(1e-6);
        tf.dispose([x, weight, y]);
      }
    });
  }, BACKENDS_AND_WEBGPU);
});
