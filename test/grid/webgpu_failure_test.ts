/** Devices that are lost or run out of memory: whatever is pending rejects with DeviceError, whatever comes after throws it, nothing hangs. */
import * as tf from '@tensorflow/tfjs';
import {deviceReady, placeOnDevice, warmUp} from '../../kernels/webgpu/warm_up.js';
import {DeviceError, openCheckpoint, ops, QuantizedWeight} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {webgpuBackend, withDevice} from '../support/webgpu.js';
import {buildWeight, randomX} from './layouts.js';

const named = buildWeight('failing', {n: 16, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 7);
const load = () => QuantizedWeight.fromWords(named.layout, named.words.slice());
const LOST = /webgpu device: expected a live device/;
const QUANTIZATION = {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'colwise'} as const;

/** Tells the device's listeners what a driver would. */
function reportOutOfMemory(device: GPUDevice): void {
  const error = new GPUOutOfMemoryError('no memory left');
  device.dispatchEvent(Object.assign(new Event('uncapturederror'), {error}));
}

describe('a webgpu device that fails', () => {
  it('rejects every read that is pending when it is lost, of our kernels and of stock ones', async () => {
    await withDevice({}, async () => {
      const weight = load();
      const x = tf.tensor2d(randomX(1, 64), [1, 64]);
      const gain = tf.ones([64]) as tf.Tensor1D;
      const rounded = ops.fp8Quantize(x, QUANTIZATION);
      const outputs = [
        ops.quantizedMatMul(x, weight),
        ops.quantizedMatMul(x, weight, {inputQuantization: QUANTIZATION}),
        ops.gatedActivation(x, 'silu'),
        ops.rmsNorm(x, gain, 1e-5),
        weight.dequantize(),
        weight.dequantizeRows([1, 3]),
        rounded.codes,
        rounded.scales,
        tf.matMul(x, x, false, true),
      ];
      const reads = outputs.map((t) => t.data());
      webgpuBackend().device.destroy();
      for (const read of reads) await expectAsync(read).toBeRejectedWithError(DeviceError, LOST);
      // And again, where nothing is pending.
      for (const t of outputs) await expectAsync(t.data()).toBeRejectedWithError(DeviceError, LOST);
      tf.dispose([x, gain, ...outputs]);
      weight.dispose();
    });
  });

  it('throws from every kernel once it is lost', async () => {
    await withDevice({}, async () => {
      const weight = load();
      const x = tf.tensor2d(randomX(1, 64), [1, 64]);
      const y = ops.quantizedMatMul(x, weight);
      await y.data();
      const {device} = webgpuBackend();
      device.destroy();
      await device.lost;
      const scale = tf.ones([64]) as tf.Tensor1D;
      for (const call of [
        () => ops.quantizedMatMul(x, weight),
        () => ops.fp8Quantize(x, QUANTIZATION),
        () => ops.gatedActivation(x, 'silu'),
        () => ops.rmsNorm(x, scale, 1e-5),
        () => weight.dequantize(),
        () => weight.dequantizeRows([1, 3]),
      ]) {
        expect(call).toThrowError(DeviceError, LOST);
      }
      await expectAsync(warmUp(weight)).toBeRejectedWithError(DeviceError, LOST);
      await expectAsync(deviceReady()).toBeRejectedWithError(DeviceError, LOST);
      tf.dispose([x, y, scale]);
      weight.dispose();
    });
  });

  it('rejects a load that is under way, and leaves no tensor', async () => {
    const module = moduleOf(
      gptqTensors(randomParts({outDim: 64, inDim: 128, bits: 4, groupSize: 32}, 1), 'gptq'),
      gptqConfig(4, 32, false),
    );
    await withDevice({}, async () => {
      const before = tf.memory().numTensors;
      const checkpoint = await openCheckpoint(checkpointFiles(module));
      const loading = checkpoint.linear(module.module);
      webgpuBackend().device.destroy();
      await expectAsync(loading).toBeRejectedWithError(DeviceError, LOST);
      await expectAsync(checkpoint.linear(module.module)).toBeRejectedWithError(DeviceError, LOST);
      await checkpoint.close();
      expect(tf.memory().numTensors).toBe(before);
    });
  });

  it('rejects an upload and a compilation that are under way', async () => {
    await withDevice({}, async () => {
      const weight = load();
      const x = tf.tensor2d(randomX(1, 64), [1, 64]);
      const pending = [placeOnDevice([x]), warmUp(weight, {rows: [1, 8], unpack: true})];
      webgpuBackend().device.destroy();
      for (const one of pending) await expectAsync(one).toBeRejectedWithError(DeviceError, LOST);
      x.dispose();
      weight.dispose();
    });
  });

  it('rejects reads and throws after it ran out of memory, with what to do', async () => {
    await withDevice({}, async () => {
      const weight = load();
      const x = tf.tensor2d(randomX(1, 64), [1, 64]);
      const y = ops.quantizedMatMul(x, weight);
      const read = y.data();
      reportOutOfMemory(webgpuBackend().device);
      await expectAsync(read).toBeRejectedWithError(DeviceError, /out of memory: no memory left.*Dispose tensors or load a smaller model/s);
      expect(() => ops.quantizedMatMul(x, weight)).toThrowError(DeviceError, /out of memory/);
      await expectAsync(warmUp(weight)).toBeRejectedWithError(DeviceError, /out of memory/);
      tf.dispose([x, y]);
      weight.dispose();
    });
  });
});
