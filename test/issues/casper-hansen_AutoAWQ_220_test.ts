/** P098, casper-hansen/AutoAWQ#220: no gradient went through an AWQ layer. */
import * as tf from '@tensorflow/tfjs';
import type {QuantizedWeight} from '../../src/index.js';
import {CASES} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {randomX} from '../grid/layouts.js';
import {filesOf} from '../support/checkpoints.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';

describe('casper-hansen/AutoAWQ#220', () => {
  onBackends(ALL_BACKENDS, () => {
    it('the gradient to x is what finite differences say; the codes have none', async () => {
      const c = CASES.find(({name}) => name === 'awq_gemm_g32_bias') as (typeof CASES)[number];
      const {layer} = await openLinear(c, (await filesOf(c)).files);
      const [values, mix] = [randomX(2, c.inDim, 5), randomX(2, c.outDim, 6)];
      const loss = (x: tf.Tensor): tf.Scalar => tf.sum(tf.mul(layer.forward(x), tf.tensor2d(mix, [2, c.outDim])));
      const x = tf.tensor2d(values, [2, c.inDim]);
      const dx = tf.grad(loss)(x);
      const got = (await dx.data()) as Float32Array;
      const norm = Math.sqrt(got.reduce((sum, v) => sum + v * v, 0) / got.length);
      expect(norm).toBeGreaterThan(1e-3);
      for (const at of [0, 17, c.inDim - 1, c.inDim, 2 * c.inDim - 1]) {
        // The layer is linear in x: a difference over any distance is exact but for rounding.
        const sides = await Promise.all(
          [4, -4].map(async (step) => {
            const moved = values.slice();
            moved[at] = (moved[at] as number) + step;
            const y = tf.tidy(() => loss(tf.tensor2d(moved, [2, c.inDim])));
            const [value] = await y.data();
            y.dispose();
            return value as number;
          }),
        );
        expect(Math.abs(((sides[0] as number) - (sides[1] as number)) / 8 - (got[at] as number))).toBeLessThan(1e-3 * norm);
      }
      const {words} = layer.weight as QuantizedWeight;
      expect(words.dtype).toBe('int32');
      expect(layer.trainableWeights.map(({shape}) => shape)).toEqual([[c.outDim]]);
      tf.dispose([x, dx]);
      layer.dispose();
    });
  });
});
