/** P101, microsoft/onnxruntime#20781: the 4-bit product had no gradient, so nothing below a frozen layer could learn. */
import * as tf from '@tensorflow/tfjs';
import {ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {rowErrors} from '../support/errors.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';
import {unpacked} from '../support/reference.js';

describe('microsoft/onnxruntime#20781', () => {
  onBackends(ALL_BACKENDS, () => {
    it('variableGrads reaches the layers below a frozen one, as through the same weight in float32', async () => {
      const [m, k, n] = [4, 64, 12];
      const named = buildWeight('middle', {n, k, planes: [4], zero: 8, scales: [['float16', 1, 32]], ordered: true}, 81);
      const frozen = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const w = unpacked(named);
      const below = tf.tidy(() => tf.variable(tf.tensor2d(randomX(6, k, 1), [6, k])));
      const above = tf.tidy(() => tf.variable(tf.tensor2d(randomX(n, 3, 2), [n, 3])));
      const input = tf.tensor2d(randomX(m, 6, 3), [m, 6]);
      const gradients = async (middle: (h: tf.Tensor) => tf.Tensor): Promise<Float32Array[]> => {
        const {value, grads} = tf.variableGrads(
          () => tf.mean(tf.square(tf.matMul(middle(tf.tanh(tf.matMul(input, below))) as tf.Tensor2D, above))) as tf.Scalar,
        );
        expect(Object.keys(grads).length).toBe(2);
        const values = await Promise.all([below, above].map(({name}) => (grads[name] as tf.Tensor).data()));
        tf.dispose([value, grads]);
        return values as Float32Array[];
      };
      const packed = await gradients((h) => ops.quantizedMatMul(h, frozen, {activation: 'silu', inputPrecision: 'float32'}));
      const plain = await gradients((h) => {
        const z = tf.matMul(h as tf.Tensor2D, tf.tensor2d(w, [n, k]), false, true);
        return tf.mul(z, tf.sigmoid(z));
      });
      expect(Math.max(...(plain[0] as Float32Array).map(Math.abs))).toBeGreaterThan(1e-3);
      expect(rowErrors(packed[0] as Float32Array, plain[0] as Float32Array, k)).toBeLessThan(1e-5);
      expect(rowErrors(packed[1] as Float32Array, plain[1] as Float32Array, 3)).toBeLessThan(1e-5);
      frozen.dispose();
      tf.dispose([below, above, input]);
    });
  });
});
