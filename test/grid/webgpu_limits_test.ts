/** Devices with small limits: grids fold, weights split by rows, what cannot be split is refused with the limit's name. */
import * as tf from '@tensorflow/tfjs';
import {chooseWebGPU, obstacle, type Problem, WEBGPU_VARIANTS} from '../../kernels/choose.js';
import {explainWebGPU} from '../../kernels/webgpu/explain.js';
import {checkIndexRange, fold} from '../../kernels/webgpu/grid.js';
import {DeviceError, ops, QuantizedWeight, ShapeError} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {productOf, unpacked} from '../support/reference.js';
import {describeWebGPU, withProfile, withVariant} from '../support/webgpu.js';
import {buildWeight, randomX} from './layouts.js';

const problem: Problem = {rows: 1, outDim: 4096, inDim: 4096, chunked: true};
const limits = {maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256, maxComputeWorkgroupStorageSize: 16384};
const gpu = {limits, features: new Set(['subgroups', 'shader-f16']), software: false};

describe('choice of a webgpu kernel', () => {
  it('reads few rows once, in subgroups where the device has them', () => {
    expect(chooseWebGPU(problem, gpu).variant).toBe('gemv_subgroup');
    const {variant, reason} = chooseWebGPU(problem, {...gpu, features: new Set()});
    expect(variant).toBe('gemv_tree');
    expect(reason).toContain('workgroup memory');
  });

  it('expands tiles for many rows, unless workgroups are too small', () => {
    expect(chooseWebGPU({...problem, rows: 64}, gpu).variant).toBe('gemm_tiles');
    const small = {...gpu, limits: {...limits, maxComputeWorkgroupStorageSize: 8192}};
    expect(chooseWebGPU({...problem, rows: 64}, small).variant).toBe('gemv_subgroup');
    expect(obstacle('gemm_tiles', problem, small)).toContain('16384 bytes');
    expect(obstacle('gemm_tiles', problem, {...gpu, limits: {...limits, maxComputeInvocationsPerWorkgroup: 128}})).toContain('256 threads');
  });

  it('keeps to registers where shaders run on a CPU', () => {
    const cpu = {...gpu, software: true};
    expect(chooseWebGPU(problem, cpu).variant).toBe('gemv_thread');
    expect(chooseWebGPU({...problem, rows: 64}, cpu).variant).toBe('gemm_registers');
  });

  it('decodes uneven groups code by code', () => {
    expect(chooseWebGPU({...problem, chunked: false}, gpu).variant).toBe('plain');
  });

  it('takes the variant asked for, or says why not', () => {
    for (const variant of WEBGPU_VARIANTS) expect(chooseWebGPU(problem, gpu, variant)).toEqual({variant, reason: 'forced'});
    const {variant, reason} = chooseWebGPU(problem, {...gpu, features: new Set()}, 'gemm_tiles_f16');
    expect(variant).toBe('gemv_tree');
    expect(reason).toContain('gemm_tiles_f16 was asked for, but the device has no shader-f16');
  });
});

describe('a grid of workgroups', () => {
  it('covers the count within the limit', () => {
    for (const count of [1, 65535, 65536, 70000, 131071, 4294836225]) {
      const [x, y, z] = fold(count, 65535);
      expect(x * y * z).toBeGreaterThanOrEqual(count);
      expect(x * y * z - count).toBeLessThan(y);
      expect(Math.max(x, y)).toBeLessThanOrEqual(65535);
    }
  });

  it('is refused where there is none', () => {
    expect(() => fold(10, 3)).toThrowError(ShapeError, /at most 3 x 3 workgroups/);
  });

  it('has indices that fit: the shape is in the message', () => {
    expect(() => checkIndexRange('x', [2 ** 15, 2 ** 16 - 1])).not.toThrow();
    expect(() => checkIndexRange('x', [2 ** 15, 2 ** 16])).toThrowError(ShapeError, /\[32768, 65536\]/);
  });
});

describeWebGPU('small limits', () => {
  const named = buildWeight('split', {n: 200, k: 128, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]]}, 3);
  const k = named.layout.inDim;
  // 64 bytes of codes a row: 64 rows are 4096 bytes, the scales and zeros 2000.
  const tight = {limits: {maxStorageBufferBindingSize: 8192}};

  async function expectProducts(weight: QuantizedWeight, m: number): Promise<void> {
    const values = randomX(m, k);
    const x = tf.tensor2d(values, [m, k]);
    const bias = tf.tensor1d(randomX(1, weight.outDim, 9));
    const y = ops.quantizedMatMul(x, weight, {bias});
    const w = unpacked(named).slice(weight.rowStart * k, weight.rowEnd * k);
    const expected = productOf(values, w, m, weight.outDim, await bias.data());
    expect(rowErrors(await y.data(), expected, weight.outDim)).toBeLessThan(1e-6);
    tf.dispose([x, bias, y]);
  }

  it('splits a weight over the binding limit', async () => {
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    expect(explainWebGPU(named.layout, 1).parts).toBe(1);
    await withProfile(tight, async () => {
      const {parts, reason} = explainWebGPU(named.layout, 1);
      expect(parts).toBe(4);
      expect(reason).toContain('split into 4 parts');
      for (const variant of ['gemv_thread', 'gemv_tree', 'gemm_tiles', 'plain'])
        await withVariant(variant, () => expectProducts(weight, 2));
      await withVariant('gemm_registers', () => expectProducts(weight, 9));
      const window = weight.window(70, 190);
      await withVariant('auto', () => expectProducts(window, 1));
      window.dispose();
    });
    weight.dispose();
  });

  it('unpacks a weight over the binding limit, all of it and by rows', async () => {
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const expected = unpacked(named);
    // The output has 512 bytes a row: 64 rows are 32768.
    await withProfile({limits: {maxStorageBufferBindingSize: 40000}}, async () => {
      const all = weight.dequantize();
      expect((await all.data()).map((v) => v + 0)).toEqual(expected);
      const rows = [199, 0, 64, 63, 128];
      const some = weight.dequantizeRows(rows);
      expect((await some.data()).map((v) => v + 0)).toEqual(
        Float32Array.from(rows.flatMap((r) => [...expected.subarray(r * k, (r + 1) * k)])),
      );
      tf.dispose([all, some]);
    });
    await withProfile(tight, async () => {
      const some = weight.dequantizeRows([130, 2]);
      expect((await some.data()).map((v) => v + 0)).toEqual(
        Float32Array.from([130, 2].flatMap((r) => [...expected.subarray(r * k, (r + 1) * k)])),
      );
      some.dispose();
    });
    weight.dispose();
  });

  it('refuses what cannot be split, with the limit and no tensor left', async () => {
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const x = tf.ones([40, k]) as tf.Tensor2D;
    await withProfile({limits: {maxStorageBufferBindingSize: 2048}}, async () => {
      expect(() => ops.quantizedMatMul(x, weight)).toThrowError(DeviceError, /maxStorageBufferBindingSize/);
      expect(() => weight.dequantize()).toThrowError(DeviceError, /2048 bytes/);
    });
    await withProfile({limits: {maxStorageBufferBindingSize: 16384}}, async () => {
      expect(() => ops.quantizedMatMul(x, weight)).toThrowError(DeviceError, /QuantizedMatMul: output.*at most 16384/);
    });
    x.dispose();
    weight.dispose();
  });

  it('folds grids at the limit of workgroups', async () => {
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    await withProfile({limits: {maxComputeWorkgroupsPerDimension: 31}}, async () => {
      for (const variant of ['gemv_thread', 'gemv_tree', 'gemm_registers', 'gemm_tiles', 'plain']) {
        await withVariant(variant, () => expectProducts(weight, 3));
      }
      const all = weight.dequantize();
      expect((await all.data()).map((v) => v + 0)).toEqual(unpacked(named));
      all.dispose();
    });
    weight.dispose();
  });
});
