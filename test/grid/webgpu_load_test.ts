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

/** Bytes of buffers made while `f` runs, and the most that were written at a time. */
async function traffic(f: () => Promise<void>): Promise<{created: number; largestWrite: number}> {
  const {device} = webgpuBackend();
  let created = 0;
  let largestWrite = 0;
  const create = device.createBuffer.bind(device);
  const write = device.queue.writeBuffer.bind(device.queue) as (...args: unknown[]) => undefined;
  const createSpy = spyOn(device, 'createBuffer').and.callFake((descriptor) => {
    created += descriptor.size;
    return create(descriptor);
  });
  const writeSpy = spyOn(device.queue, 'writeBuffer').and.callFake(((...args: unknown[]) => {
    largestWrite = Math.max(largestWrite, (args[4] as number | undefined) ?? (args[2] as ArrayBuffer).byteLength);
    return write(...args);
  }) as GPUQueue['writeBuffer']);
  await f();
  createSpy.and.callThrough();
  writeSpy.and.callThrough();
  return {created, largestWrite};
}

describeWebGPU('loading', () => {
  it('puts the packed bytes on the device, keeps none on the host, and gives all back', async () => {
    const before = gpuBytes();
    let layer: Linear | undefined;
    const {created} = await traffic(async () => {
      layer = await load();
    });
    const loaded = layer as Linear;
    expect(gpuBytes() - before).toBe(loaded.byteLength);
    expect(created).toBeLessThanOrEqual(loaded.byteLength);
    const {dataId} = (loaded.weight as QuantizedWeight).words;
    expect(webgpuBackend().tensorMap.get(dataId).values).toBeNull();
    loaded.dispose();
    expect(gpuBytes()).toBe(before);
  });

  it('writes a chunk at a time, exactly', async () => {
    const layout: WeightLayout = {...buildWeight('large', {n: 1, k: 8192, planes: [4], zero: 8}, 1).layout, outDim: 2200};
    const words = allocateWords(layout).map((_, i) => Math.imul(i + 1, 0x9e3779b1) ^ (i >>> 7));
    const reader = new RowReader(layout, partsOf(layout, words.slice()));
    const weight = QuantizedWeight.fromWords(layout, words);
    expect(weight.byteLength).toBeGreaterThan(UPLOAD_CHUNK);
    let rows: tf.Tensor | undefined;
    const {created, largestWrite} = await traffic(async () => {
      rows = weight.dequantizeRows([0, 2047, 2048, 2199]);
      await rows.data();
    });
    expect(largestWrite).toBe(UPLOAD_CHUNK);
    expect(created).toBeLessThan(weight.byteLength + UPLOAD_CHUNK);
    const got = (await (rows as tf.Tensor).data()) as Float32Array;
    const expected = new Float32Array(8192);
    [0, 2047, 2048, 2199].forEach((row, i) => {
      reader.read(row, expected);
      expect(got.slice(i * 8192, (i + 1) * 8192)).toEqual(expected);
    });
    rows?.dispose();
    weight.dispose();
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
