/** P100, dropbox/hqq#41: the output of a quantised layer carried no gradient. */
import * as tf from '@tensorflow/tfjs';
import {ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {rowErrors} from '../support/errors.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';
import {unpacked} from '../support/reference.js';

describe('dropbox/hqq#41', () => {
  onBackends(ALL_BACKENDS, () => {
    it('x and the bias have gradients: finite, not zero, and right', async () => {
      const [m, n, k] = [3, 10, 64];
      const named = buildWeight('hqq', {n, k, planes: [2], zero: [1, 16], scales: [['float16', 1, 16]], offsets: [['float16', 1, 16]]}, 41);
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const x = tf.tensor2d(randomX(m, k), [m, k]);
      const bias = tf.zeros([n]);
      const f = (a: tf.Tensor, b: tf.Tensor) => ops.quantizedMatMul(a, weight, {bias: b});
      const grads = tf.grads(f)([x, bias]) as [tf.Tensor, tf.Tensor];
      const [dx, dbias] = await Promise.all(grads.map((g) => g.data()));
      const w = unpacked(named);
      const columns = Float64Array.from({length: m * k}, (_, i) =>
        Array.from({length: n}, (_, r) => w[r * k + (i % k)] as number).reduce((a, b) => a + b),
      );
      expect(rowErrors(dx as Float32Array, columns, k)).toBeLessThan(1e-6);
      expect(Math.min(...columns.map(Math.abs))).toBeGreaterThan(0);
      expect([...(dbias as Float32Array)]).toEqual(Array.from({length: n}, () => m));
      tf.dispose([x, bias, ...grads]);
      weight.dispose();
    });
  });
});
