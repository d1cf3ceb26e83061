// https://github.com/casper-hansen/AutoAWQ/issues/220, https://github.com/dropbox/hqq/issues/41, https://github.com/microsoft/onnxruntime/issues/20781:
// gradients through packed layers were missing.
import * as tf from '@tensorflow/tfjs';
import {ops, type QuantizedWeight} from '../../src/index.js';
import {packedLayer, randomTensor} from '../layers/layers_support.js';
import {rowErrors} from '../support/errors.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';

onBackends(ALL_BACKENDS, () => {
  describe('casper-hansen/AutoAWQ#220', () => {
    it('the gradient to x is dy . W', async () => {
      const layer = await packedLayer('awq_gemm_g32_bias');
      const [x, dy] = [randomTensor([3, 256], 1), randomTensor([3, 96], 2)];
      const grad = tf.grad((t: tf.Tensor) => layer.forward(t))(x, dy);
      const expected = tf.tidy(() => tf.matMul(dy, layer.weight.dequantize()));
      expect(rowErrors(await grad.data(), await expected.data(), 256)).toBeLessThan(1e-5);
      tf.dispose([x, dy, grad, expected]);
      layer.dispose();
    });
  });

  describe('dropbox/hqq#41', () => {
    it('x and the bias have gradients, finite and not zero', async () => {
      const layer = await packedLayer('awq_gemm_g32_bias');
      const [x, bias] = [randomTensor([2, 256], 3), randomTensor([96], 4)];
      const weight = layer.weight as QuantizedWeight;
      const grads = tf.grads((t: tf.Tensor, b: tf.Tensor) => ops.quantizedMatMul(t, weight, {bias: b}))([x, bias]);
      for (const grad of grads) {
        const values = [...(await grad.data())];
        expect(values.every(Number.isFinite)).toBeTrue();
        expect(values.every((v) => v === 0)).toBeFalse();
      }
      tf.dispose([x, bias, ...grads]);
      layer.dispose();
    });
  });

  describe('microsoft/onnxruntime#20781', () => {
    it('a gradient reaches the layers below a frozen 4-bit layer', async () => {
      const layer = await packedLayer('awq_gemm_g32_bias');
      layer.trainable = false;
      const model = tf.sequential({
        layers: [tf.layers.dense({units: 256, inputShape: [4]}), layer, tf.layers.dense({units: 2})],
      });
      const x = randomTensor([3, 4], 5);
      const {value, grads} = tf.variableGrads(() => tf.sum(tf.square(model.apply(x) as tf.Tensor)) as tf.Scalar);
      const below = Object.entries(grads).filter(([name]) => name.startsWith('dense')).length;
      expect(below).toBe(4);
      const first = grads[model.layers[0]!.weights[0]!.name] ?? grads[(model.layers[0]!.weights[0]!.read() as tf.Variable).name];
      expect([...(await first!.data())].every((v) => Number.isFinite(v) && v !== 0)).toBeTrue();
      tf.dispose([x, value, grads]);
      model.dispose();
    });
  });
});
