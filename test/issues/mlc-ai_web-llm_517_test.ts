// https://github.com/mlc-ai/web-llm/issues/517: a device lost in the middle of use left the app hanging.
import * as tf from '@tensorflow/tfjs';
import {DeviceError, ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {webgpuBackend, withDevice} from '../support/webgpu.js';

describe('mlc-ai/web-llm#517', () => {
  it('a lost device rejects what is pending and throws from then on', async () => {
    const named = buildWeight('lost', {n: 16, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 7);
    await withDevice({}, async () => {
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const x = tf.tensor2d(randomX(1, 64), [1, 64]);
      const first = ops.quantizedMatMul(x, weight);
      expect((await first.data()).length).toBe(16);
      const pending = ops.quantizedMatMul(x, weight);
      const read = pending.data();
      webgpuBackend().device.destroy();
      await expectAsync(read).toBeRejectedWithError(DeviceError, /webgpu device: expected a live device/);
      expect(() => ops.quantizedMatMul(x, weight)).toThrowError(DeviceError, /lost/);
      expect(() => weight.dequantize()).toThrowError(DeviceError, /lost/);
      tf.dispose([x, first, pending]);
      weight.dispose();
    });
  });
});
