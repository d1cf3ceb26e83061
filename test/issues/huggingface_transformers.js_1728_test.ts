// https://github.com/huggingface/transformers.js/issues/1728: 4 and 8-bit models on WebGPU were nearly orthogonal to the same on wasm.
import * as tf from '@tensorflow/tfjs';
import {ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {registerWebGPU} from '../support/webgpu.js';

async function twoLayers(bits: number): Promise<Float32Array> {
  const scales = [['float16', 1, 32]] as const;
  const [up, down] = [
    buildWeight('up', {n: 256, k: 128, planes: [bits], zero: [1, 32], scales}, 11),
    buildWeight('down', {n: 128, k: 256, planes: [bits], zero: [1, 32], scales}, 12),
  ].map(({layout, words}) => QuantizedWeight.fromWords(layout, words)) as [QuantizedWeight, QuantizedWeight];
  const x = tf.tensor2d(randomX(2, 128), [2, 128]);
  const y = tf.tidy(() => ops.quantizedMatMul(ops.quantizedMatMul(x, up, {activation: 'silu'}), down));
  const values = (await y.data()) as Float32Array;
  tf.dispose([x, y]);
  up.dispose();
  down.dispose();
  return values;
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, v, i) => sum + v * (b[i] as number), 0);

describe('huggingface/transformers.js#1728', () => {
  beforeAll(registerWebGPU);
  afterEach(() => tf.setBackend('cpu'));

  for (const bits of [4, 8]) {
    it(`two layers of ${bits} bits agree between webgpu and wasm`, async () => {
      await tf.setBackend('wasm');
      const onWasm = await twoLayers(bits);
      await tf.setBackend('webgpu');
      const onGPU = await twoLayers(bits);
      expect(dot(onWasm, onGPU) / Math.sqrt(dot(onWasm, onWasm) * dot(onGPU, onGPU))).toBeGreaterThan(0.9999);
    });
  }
});
