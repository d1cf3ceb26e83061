// https://github.com/huggingface/kernels-community/issues/681: a block of zeros gave NaN in the block quantiser.
import * as tf from '@tensorflow/tfjs';
import {Linear} from '../../src/index.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';

describe('huggingface/kernels-community#681', () => {
  onBackends(ALL_BACKENDS, () => {
    it('a row of zeros gives the bias, and its neighbours their own numbers', async () => {
      const float8Config = {
        inputScale: {granularity: 'colwise', origin: 'dynamic'},
        weightScale: {granularity: 'rowwise'},
      } as const;
      const layer = new Linear({inDim: 4, outDim: 2, hasBias: true, float8Config});
      const values = {weight: tf.ones([2, 4]), weight_scale: tf.tensor1d([1, 2]), bias: tf.tensor1d([5, 7])};
      layer.loadStateDict(values);
      const x = tf.tensor2d([448, 0, 0, 0, 0, 0, 0, 0, 0, -448, 0, 0], [3, 4]);
      const y = layer.forward(x);
      expect([...(await y.data())]).toEqual([453, 903, 5, 7, -443, -889]);
      tf.dispose([values, x, y]);
      layer.dispose();
    });
  });
});
