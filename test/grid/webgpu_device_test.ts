/** Devices of our own: what they have, how they fail, and that a failed one answers nothing. */
import * as tf from '@tensorflow/tfjs';
import {profileOf} from '../../kernels/webgpu/backend.js';
import {createWebGPUBackend} from '../../kernels/webgpu/device.js';
import {rewriteShaders} from '../../kernels/webgpu/record.js';
import {deviceReady, warmUp} from '../../kernels/webgpu/warm_up.js';
import {ArgumentError, DeviceError, DeviceRef, ops, QuantizedWeight} from '../../src/index.js';
import {registerWebGPU, webgpuBackend, webgpuClass, withDevice, withVariant} from '../support/webgpu.js';
import {buildWeight, randomX} from './layouts.js';

const named = buildWeight('device', {n: 16, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 5);
const load = () => QuantizedWeight.fromWords(named.layout, named.words.slice());
const input = () => tf.tensor2d(randomX(1, 64), [1, 64]);

describe('a webgpu device of our own', () => {
  it('has what the adapter has, under its own name, with all kernels', async () => {
    await withDevice({}, async (name) => {
      const {features, limits, software} = profileOf(webgpuBackend());
      const adapter = (await navigator.gpu.requestAdapter()) as GPUAdapter;
      expect(features.has('subgroups')).toBe(adapter.features.has('subgroups'));
      expect(limits.maxStorageBufferBindingSize).toBe(adapter.limits.maxStorageBufferBindingSize);
      expect(software).toBe(true);
      expect(new DeviceRef(name).backendName).toBe(name);
      const y = tf.tidy(() => tf.matMul(tf.ones([2, 3]), tf.ones([3, 2])));
      expect([...(await y.data())]).toEqual([3, 3, 3, 3]);
      y.dispose();
    });
  });

  it('adds lanes up in subgroups as it does in workgroup memory', async () => {
    await withDevice({requiredFeatures: ['subgroups' as GPUFeatureName]}, async () => {
      const weight = load();
      const x = input();
      const [a, b] = [
        await withVariant('gemv_subgroup', async () => ops.quantizedMatMul(x, weight)),
        await withVariant('gemv_tree', async () => ops.quantizedMatMul(x, weight)),
      ];
      const [left, right] = [await a.data(), await b.data()];
      left.forEach((v, i) => expect(v).toBeCloseTo(right[i] as number, 5));
      tf.dispose([x, a, b]);
      weight.dispose();
    });
  });

  it('says which feature or limit is missing', async () => {
    await registerWebGPU();
    const name = 'webgpu:missing';
    await expectAsync(
      createWebGPUBackend({backendClass: await webgpuClass(), name, requiredFeatures: ['no-such-feature' as GPUFeatureName]}),
    ).toBeRejectedWithError(DeviceError, /without no-such-feature/);
    await expectAsync(
      createWebGPUBackend({backendClass: await webgpuClass(), name, limits: {maxBufferSize: 2 ** 50}}),
    ).toBeRejectedWithError(DeviceError, /maxBufferSize: expected at most/);
    await expectAsync(createWebGPUBackend({backendClass: await webgpuClass(), name, limits: {maxBuferSize: 1}})).toBeRejectedWithError(
      ArgumentError,
      /maxBuferSize/,
    );
    await expectAsync(
      createWebGPUBackend({backendClass: await webgpuClass(), name, gpu: {requestAdapter: async () => null} as unknown as GPU}),
    ).toBeRejectedWithError(DeviceError, /Received: none/);
    expect(tf.findBackendFactory(name)).toBeNull();
  });

  it('takes no name whose device holds tensors', async () => {
    await withDevice({}, async (name) => {
      const weight = load();
      await expectAsync(createWebGPUBackend({backendClass: await webgpuClass(), name})).toBeRejectedWithError(
        DeviceError,
        /a device with 1 tensors/,
      );
      weight.dispose();
      expect(await createWebGPUBackend({backendClass: await webgpuClass(), name, priority: 0})).toBe(name);
      await tf.setBackend(name);
    });
  });

  it('compiles ahead, so that the first product compiles nothing', async () => {
    await withDevice({}, async () => {
      const weight = load();
      await warmUp(weight, {rows: [1, 6], bias: true, activations: ['silu'], unpack: true});
      const compile = spyOn(webgpuBackend().device, 'createComputePipeline').and.callThrough();
      const [one, six] = [input(), tf.tensor2d(randomX(6, 64), [6, 64])];
      const bias = tf.zeros([16]) as tf.Tensor1D;
      const outputs = [one, six].map((x) => ops.quantizedMatMul(x, weight, {bias, activation: 'silu'}));
      outputs.push(weight.dequantize(), weight.dequantizeRows([3]) as tf.Tensor2D);
      await Promise.all(outputs.map((y) => y.data()));
      // tf.zeros fills on the device with a kernel of tf.js's own.
      const ours = compile.calls.allArgs().filter(([{label}]) => /gem|plain|prepare|unpack/.test(label ?? ''));
      expect(ours.length).toBe(0);
      tf.dispose([one, six, bias, ...outputs]);
      weight.dispose();
    });
  });

  it('does not warm what does not compile', async () => {
    await tf.setBackend('cpu');
    const weight = load();
    await warmUp([weight]);
    await deviceReady();
    expect(tf.getBackend()).toBe('cpu');
    weight.dispose();
  });

  it('rejects reads after a command that the device refused', async () => {
    await withDevice({}, async () => {
      const weight = load();
      const x = input();
      const y = ops.quantizedMatMul(x, weight);
      webgpuBackend().device.createBuffer({size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE});
      await expectAsync(y.data().then(() => y.data())).toBeRejectedWithError(DeviceError, /commands that the device accepts/);
      expect(() => ops.quantizedMatMul(x, weight)).toThrowError(DeviceError);
      tf.dispose([x, y]);
      weight.dispose();
    });
  });

  it('rejects reads after a shader that the device refused', async () => {
    await withDevice({}, async () => {
      const weight = load();
      const x = input();
      rewriteShaders(({label, code}) => (label.startsWith('gem') ? `${code} nonsense` : code));
      const y = ops.quantizedMatMul(x, weight);
      rewriteShaders(null);
      await expectAsync(y.data()).toBeRejectedWithError(DeviceError, /shader 'gem/);
      tf.dispose([x, y]);
      weight.dispose();
    });
  });
});
