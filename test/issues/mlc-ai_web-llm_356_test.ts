// https://github.com/mlc-ai/web-llm/issues/356: out of memory was only logged, and generation went on with gibberish.
import * as tf from '@tensorflow/tfjs';
import {deviceReady, warmUp} from '../../kernels/webgpu/warm_up.js';
import {DeviceError, ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {webgpuBackend, withDevice} from '../support/webgpu.js';

describe('mlc-ai/web-llm#356', () => {
  it('a weight that finds no memory fails its load, and nothing is computed with it', async () => {
    const named = buildWeight('memory', {n: 16, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 8);
    await withDevice({}, async (name) => {
      const {device} = webgpuBackend();
      const pop = device.popErrorScope.bind(device);
      const push = device.pushErrorScope.bind(device);
      let scope = '';
      spyOn(device, 'pushErrorScope').and.callFake((filter) => {
        scope = filter;
        push(filter);
      });
      spyOn(device, 'popErrorScope').and.callFake(async () => {
        const memory = scope === 'out-of-memory';
        const error = await pop();
        return memory ? ({message: 'no memory left'} as GPUError) : error;
      });
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      await expectAsync(warmUp(weight, {backendName: name})).toBeRejectedWithError(DeviceError, /bytes of device memory.*no memory left/);
      await expectAsync(deviceReady(name)).toBeRejectedWithError(DeviceError, /out of memory/);
      const x = tf.tensor2d(randomX(1, 64), [1, 64]);
      expect(() => ops.quantizedMatMul(x, weight)).toThrowError(DeviceError, /out of memory/);
      x.dispose();
      weight.dispose();
    });
  });
});
