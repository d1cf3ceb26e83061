/** Devices of our own: what they have, how they fail, and that a failed one answers nothing. */
import * as tf from '@tensorflow/tfjs';
import {profileOf} from '../../kernels/webgpu/backend.js';
import {createWebGPUBackend} from '../../kernels/webgpu/device.js';
import {rewriteShaders} from '../../kernels/webgpu/record.js';
import {deviceReady, warmUp} from '../../kernels/webgpu/warm_up.js';
import {ArgumentError, DeviceError, DeviceRef, Linear, ops, QuantizedWeight} from '../../src/index.js';
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

  it('refuses options that are none, or not of their kind', async () => {
    const name = 'webgpu:refused';
    const refused: readonly (readonly [object, RegExp])[] = [
      [{powerpreference: 'low-power'}, /'powerpreference'. Did you mean 'powerPreference'/],
      [{powerPreference: 'high'}, /powerPreference: expected low-power or high-performance. Received: high/],
      [{limits: 'largest'}, /limits: expected adapter, default or an object of numbers. Received: largest/],
      [{limits: {maxBufferSize: '1'}}, /limits: expected adapter, default or an object of numbers/],
      [{requiredFeatures: 5}, /requiredFeatures: expected an array of features. Received: 5/],
      [{gpu: {}}, /gpu: expected a GPU/],
      [{backendClass: 'WebGPUBackend'}, /backendClass: expected a class/],
      [{priority: '3'}, /priority: expected a number. Received: 3/],
      [{name: 3}, /name: expected text. Received: 3/],
    ];
    for (const [options, message] of refused) {
      await expectAsync(createWebGPUBackend({name, ...options})).toBeRejectedWithError(ArgumentError, message);
    }
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

  it('compiles what surrounds products ahead, in the product or as a step of its own', async () => {
    await withDevice({}, async () => {
      const weight = load();
      const around = [{norm: true}, {norm: true, gate: 'silu', residual: true}, {gate: 'gelu'}, {residual: true}] as const;
      await warmUp(weight, {rows: [1, 6], activations: [null, 'relu'], bias: true, around});
      const compile = spyOn(webgpuBackend().device, 'createComputePipeline').and.callThrough();
      const bias = tf.tensor1d(randomX(1, 16, 3));
      const outputs: tf.Tensor[] = [];
      for (const rows of [1, 6]) {
        const x = tf.tensor2d(randomX(rows, 64), [rows, 64]);
        const norm = {weight: tf.tensor1d(randomX(1, 64, 2)), epsilon: 1e-5};
        for (const activation of [null, 'relu'] as const) {
          for (const {norm: normed, gate = null, residual: added} of around as readonly {
            norm?: boolean;
            gate?: 'silu' | 'gelu';
            residual?: boolean;
          }[]) {
            const residual = added ? tf.tensor2d(randomX(rows, 16, 5).subarray(0, rows * (gate ? 8 : 16)), [rows, gate ? 8 : 16]) : null;
            outputs.push(ops.fusedMatMul(x, weight, {bias, activation, norm: normed ? norm : null, gate, residual}));
            residual?.dispose();
          }
        }
        tf.dispose([x, norm.weight]);
      }
      await Promise.all(outputs.map((y) => y.data()));
      // The residual after a gate of its own is added by a kernel of tf.js's.
      const ours = compile.calls.allArgs().filter(([{label}]) => /gem|plain|prepare|rms norm|gated/.test(label ?? ''));
      expect(ours.length).toBe(0);
      tf.dispose([bias, ...outputs]);
      weight.dispose();
    });
  });

  it('is not warmed with what is no packed weight', async () => {
    const layer = new Linear({inDim: 2, outDim: 2});
    for (const wrong of [undefined, layer, layer.weight, [layer.weight]]) {
      await expectAsync(warmUp(wrong as unknown as QuantizedWeight)).toBeRejectedWithError(ArgumentError, /warmUp: weight/);
    }
    await expectAsync(warmUp([], {row: [1]} as object)).toBeRejectedWithError(ArgumentError, /Did you mean 'rows'/);
    layer.dispose();
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
