// https://github.com/ROCm/aiter/issues/2419: weight scales a channel with one static scale of x were unsupported or wrong.
import * as tf from '@tensorflow/tfjs';
import {Linear} from '../../src/index.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';

describe('ROCm/aiter#2419', () => {
  onBackends(ALL_BACKENDS, () => {
    it('weight scale [N, 1] and input scale []', async () => {
      const float8Config = {inputScale: {granularity: 'tensor', origin: 'static'}, weightScale: {granularity: 'rowwise'}} as const;
      const layer = new Linear({inDim: 4, outDim: 3, float8Config});
      const values = {weight: tf.ones([3, 4]), weight_scale: tf.tensor2d([[1], [0.5], [4]]), input_scale: tf.scalar(2)};
      layer.loadStateDict(values);
      // 2000 saturates at 448 * 2; 2.06 / 2 rounds to 1.
      const x = tf.tensor2d([
        [2000, 0, 0, 0],
        [2.06, 2, 2, 2],
      ]);
      const y = layer.forward(x);
      expect([...(await y.data())]).toEqual([896, 448, 3584, 8, 4, 32]);
      tf.dispose([values, x, y]);
      layer.dispose();
    });
  });
});
