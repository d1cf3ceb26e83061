// https://github.com/hybridgroup/yzma/issues/324: one WebGPU implementation returned wrong values without an error.
import * as tf from '@tensorflow/tfjs';
import {createWebGPUBackend} from '../../kernels/webgpu/device.js';
import {rewriteShaders, type Shader} from '../../kernels/webgpu/record.js';
import {DeviceError, ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {registerWebGPU, withDevice, withVariant} from '../support/webgpu.js';

/** A compiler that gets one kernel's sums wrong by a little. */
const broken = (label: string) => (shader: Shader) =>
  shader.label === label ? shader.code.replace('activate(sum', 'activate(sum * 1.0001') : shader.code;

describe('hybridgroup/yzma#324', () => {
  afterEach(() => rewriteShaders(null));

  it('a device that computes wrongly is refused when it is created', async () => {
    await registerWebGPU();
    rewriteShaders(broken('gemv_thread'));
    const created = createWebGPUBackend({name: 'webgpu:wrong', priority: 0});
    await expectAsync(created).toBeRejectedWithError(
      DeviceError,
      /known-answer test of 'gemv_thread': expected 340 at place 0. Received: 340.03/,
    );
    expect(tf.findBackendFactory('webgpu:wrong')).toBeNull();
  });

  it('a kernel that is first used later gives no result either', async () => {
    const named = buildWeight('later', {n: 16, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 10);
    await withDevice({}, async () => {
      rewriteShaders(broken('gemv_tree'));
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const x = tf.tensor2d(randomX(1, 64), [1, 64]);
      const good = ops.quantizedMatMul(x, weight);
      expect((await good.data()).length).toBe(16);
      const bad = await withVariant('gemv_tree', async () => ops.quantizedMatMul(x, weight));
      await expectAsync(bad.data()).toBeRejectedWithError(DeviceError, /known-answer test of 'gemv_tree'/);
      expect(() => ops.quantizedMatMul(x, weight)).toThrowError(DeviceError, /cannot be used/);
      tf.dispose([x, good, bad]);
      weight.dispose();
    });
  });
});
