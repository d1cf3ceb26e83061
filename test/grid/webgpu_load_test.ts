/** Loading onto webgpu: the device holds the packed bytes and no more, the host nothing, and a load that finds no memory fails. */
import * as tf from '@tensorflow/tfjs';
import {RowReader} from '../../kernels/cpu/row.js';
import type {WeightLayout} from '../../kernels/layout.js';
import {UPLOAD_CHUNK} from '../../kernels/webgpu/resident.js';
import {allocateWords, partsOf} from '../../kernels/words.js';
import {DeviceError, type Linear, openCheckpoint, QuantizedWeight} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {describeWebGPU, webgpuBackend, withDevice} from '../support/webgpu.js';
import {buildWeight} from './layouts.js';

const parts = randomParts({outDim: 64, inDim: 128, bits: 4, groupSize: 32}, 1);
const module = moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(4, 32, false));

async function load(): Promise<Linear> {
  const checkpoint = await openCheckpoint(checkpointFiles(module));
  try {
    return await checkpoint.linear(module.module);
  } finally {
    await checkpoint.close();
  }
}

const gpuBytes = () => (tf.memory() as unknown as {numBytesInGPU: number}).numBytesInGPU;

/** Buffers as the device sees them, from here on: bytes that live, the most that did, and the most that were written at a time. */
function watchBuffers(): {live: number; peak: number; largestWrite: number} {
  const {device} = webgpuBackend();
  const seen = {live: 0, peak: 0, largestWrite: 0};
  const create = device.createBuffer.bind(device);
  const write = device.queue.writeBuffer.bind(device.queue) as (...args: unknown[]) => undefined;
  spyOn(device, 'createBuffer').and.callFake((descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    let there = descriptor.size;
    buffer.destroy = () => {
      seen.live -= there;
      there = 0;
      return destroy();
    };
    seen.live += there;
    seen.peak = Math.max(seen.peak, seen.live);
    return buffer;
  });
  spyOn(device.queue, 'writeBuffer').and.callFake(((...args: unknown[]) => {
    seen.largestWrite = Math.max(seen.largestWrite, (args[4] as number | undefined) ?? (args[2] as ArrayBuffer).byteLength);
    return write(...args);
  }) as GPUQueue['writeBuffer']);
  return seen;
}

describeWebGPU('loading', () => {
  it('puts the packed bytes on the device, keeps none on the host, and gives all back to it', async () => {
    // Of its own: a buffer of the size in the pool, left by another spec, would not be made anew, and the test would show nothing.
    await withDevice({}, async () => {
      const before = gpuBytes();
      const seen = watchBuffers();
      const loaded = await load();
      expect(gpuBytes() - before).toBe(loaded.byteLength);
      expect(seen.live).toBe(loaded.byteLength);
      expect(seen.peak + seen.largestWrite).toBeLessThanOrEqual(loaded.byteLength + UPLOAD_CHUNK);
      const {dataId} = (loaded.weight as QuantizedWeight).words;
      expect(webgpuBackend().tensorMap.get(dataId).values).toBeNull();
      loaded.dispose();
      expect(gpuBytes()).toBe(before);
      expect(seen.live).toBe(0);
    });
  });

  it('writes a chunk at a time, exactly', async () => {
    const layout: WeightLayout = {...buildWeight('large', {n: 1, k: 8192, planes: [4], zero: 8}, 1).layout, outDim: 2200};
    const words = allocateWords(layout).map((_, i) => Math.imul(i + 1, 0x9e3779b1) ^ (i >>> 7));
    const reader = new RowReader(layout, partsOf(layout, words.slice()));
    const weight = QuantizedWeight.fromWords(layout, words);
    expect(weight.byteLength).toBeGreaterThan(UPLOAD_CHUNK);
    const seen = watchBuffers();
    const rows = weight.dequantizeRows([0, 2047, 2048, 2199]);
    const got = (await rows.data()) as Float32Array;
    expect(seen.largestWrite).toBe(UPLOAD_CHUNK);
    expect(seen.peak).toBeGreaterThanOrEqual(weight.byteLength);
    expect(seen.peak).toBeLessThan(weight.byteLength + UPLOAD_CHUNK);
    const expected = new Float32Array(8192);
    [0, 2047, 2048, 2199].forEach((row, i) => {
      reader.read(row, expected);
      expect(got.slice(i * 8192, (i + 1) * 8192)).toEqual(expected);
    });
    const others = seen.live - weight.byteLength;
    rows.dispose();
    weight.dispose();
    expect(seen.live).toBe(others);
  });

  it('fails where the device has no memory for a weight, and leaves nothing', async () => {
    await withDevice({}, async () => {
      const {device} = webgpuBackend();
      const pop = device.popErrorScope.bind(device);
      spyOn(device, 'popErrorScope').and.callFake(async () => {
        await pop();
        return {message: 'no memory left'} as GPUError;
      });
      const before = tf.memory().numTensors;
      await expectAsync(load()).toBeRejectedWithError(DeviceError, /no memory left/);
      expect(tf.memory().numTensors).toBe(before);
    });
  });
});
