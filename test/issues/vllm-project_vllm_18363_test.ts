// https://github.com/vllm-project/vllm/issues/18363: the bias was added in the kernel and again by the layer.
import * as tf from '@tensorflow/tfjs';
import {linear} from '../../src/index.js';
import {buildWeight} from '../grid/layouts.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('vllm-project/vllm#18363', () => {
  const bias = new Float32Array(8).fill(100);

  onBackends(ALL_BACKENDS, () => {
    it('the fused kernel adds it once', async () => {
      const named = buildWeight('once', {n: 8, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 22);
      for (const activation of [null, 'relu'] as const) {
        const {y} = await multiplyOnce(named, new Float32Array(64), {bias, activation});
        expect([...y]).toEqual([...bias]);
      }
    });

    it('a layer adds it once', async () => {
      const layer = linear({inDim: 64, outDim: 8, hasBias: true});
      tf.tidy(() => layer.loadStateDict({weight: tf.zeros([8, 64]), bias: tf.tensor1d(bias.slice())}));
      const y = tf.tidy(() => layer.forward(tf.ones([1, 64])));
      expect([...(await y.data())]).toEqual([...bias]);
      y.dispose();
      layer.dispose();
    });
  });
});
