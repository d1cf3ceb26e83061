/** P098, casper-hansen/AutoAWQ#220: gradients through AWQ layers were missing. x has one, as differences say; the codes have none. */
import * as tf from '@tensorflow/tfjs';
import {packedLayer, randomTensor} from '../layers/layers_support.js';
import {rowErrors} from '../support/errors.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';

onBackends(ALL_BACKENDS, () => {
  describe('casper-hansen/AutoAWQ#220', () => {
    it('the gradient to x is dy . W, and what differences of y say; codes have none', async () => {
      const layer = await packedLayer('awq_gemm_g32_bias');
      const [x, dy, step] = [randomTensor([3, 256], 1), randomTensor([3, 96], 2), randomTensor([3, 256], 3)];
      const grad = tf.grad((t: tf.Tensor) => layer.forward(t))(x, dy);
      const expected = tf.tidy(() => tf.matMul(dy, layer.weight.dequantize()));
      expect(rowErrors(await grad.data(), await expected.data(), 256)).toBeLessThan(1e-5);

      const at = (t: tf.Tensor) => tf.sum(tf.mul(dy, layer.forward(t)));
      const difference = tf.tidy(() => tf.div(tf.sub(at(tf.add(x, step)), at(tf.sub(x, step))), 2));
      const along = tf.tidy(() => tf.sum(tf.mul(grad, step)));
      const [found, told] = [(await difference.data())[0] as number, (await along.data())[0] as number];
      expect(Math.abs(found - told)).toBeLessThan(1e-3 * Math.abs(told));

      const variables = layer.trainableWeights.map(({shape}) => shape);
      expect(variables).toEqual([[96]]);
      tf.dispose([x, dy, step, grad, expected, difference, along]);
      layer.dispose();
    });
  });
});
