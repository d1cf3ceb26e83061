/** Tensors over several devices. */
import * as tf from '@tensorflow/tfjs';
import {onDevice} from '../../src/device.js';
import {
  ArgumentError,
  allGather,
  allGatherAsync,
  allReduceSum,
  allReduceSumAsync,
  broadcast,
  broadcastAsync,
  DeviceError,
  DeviceLostError,
  DeviceRef,
  ShapeError,
} from '../../src/index.js';
import {backendNameOf, copyTo} from '../../src/sharding/transfer.js';

beforeAll(async () => {
  await tf.setBackend('wasm');
  await tf.setBackend('cpu');
});

const on = (backend: string, values: number[]) => onDevice(new DeviceRef(backend), () => tf.tensor2d(values, [1, values.length]));
const numbers = (ts: tf.Tensor[]) => ts.map((t) => Array.from(t.dataSync()));

describe('collectives', () => {
  it('broadcast puts the same numbers on every device', async () => {
    const x = on('cpu', [1, 2, 3]);
    for (const copies of [broadcast(x, ['wasm', 'cpu', 'wasm']), await broadcastAsync(x, ['wasm', 'cpu', 'wasm'])]) {
      expect(copies.map(backendNameOf)).toEqual(['wasm', 'cpu', 'wasm']);
      expect(new Set(copies).size).toBe(3);
      expect(numbers(copies)).toEqual([
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3],
      ]);
      // Each its own: one goes, the others stay.
      copies[0]?.dispose();
      expect(copies[2]?.isDisposed).toBe(false);
      tf.dispose(copies);
    }
    expect(backendNameOf(x)).toBe('cpu');
    x.dispose();
  });

  it('allGather puts parts of any length together on every device', async () => {
    const parts = [on('wasm', [1]), on('cpu', [2, 3]), on('cpu', []), on('wasm', [4])];
    for (const all of [allGather(parts), await allGatherAsync(parts)]) {
      expect(all.map(backendNameOf)).toEqual(['wasm', 'cpu', 'cpu', 'wasm']);
      expect(numbers(all)).toEqual(Array.from({length: 4}, () => [1, 2, 3, 4]));
      tf.dispose(all);
    }
    const rows = allGather([parts[0] as tf.Tensor, parts[3] as tf.Tensor], 0, ['cpu']);
    expect(rows[0]?.shape).toEqual([2, 1]);
    expect(numbers(rows)).toEqual([[1, 4]]);
    tf.dispose([parts, rows]);
  });

  it('allReduceSum adds in the order of the parts', async () => {
    // 1e8 + -1e8 + 1 is 1 in this order, 0 in another.
    const parts = [on('cpu', [1e8, 1]), on('wasm', [-1e8, 2]), on('cpu', [1, 3])];
    for (const sums of [allReduceSum(parts), await allReduceSumAsync(parts)]) {
      expect(sums.map(backendNameOf)).toEqual(['cpu', 'wasm', 'cpu']);
      expect(numbers(sums)).toEqual(Array.from({length: 3}, () => [1, 6]));
      tf.dispose(sums);
    }
    tf.dispose(parts);
  });

  it('is differentiable', () => {
    const grads = tf.grads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.square(allReduceSum([a, b], ['wasm'])[0] as tf.Tensor)));
    tf.tidy(() => {
      const [da, db] = grads([tf.tensor1d([1, 2]), tf.tensor1d([3, 4])]);
      expect(Array.from(da?.dataSync() ?? [])).toEqual([8, 12]);
      expect(Array.from(db?.dataSync() ?? [])).toEqual([8, 12]);
    });
  });

  it('refuses what does not fit', () => {
    const [a, b] = [on('cpu', [1, 2]), on('cpu', [1, 2, 3])];
    expect(() => allReduceSum([a, b])).toThrowError(ShapeError);
    expect(() => allGather([a, b], 0)).toThrowError(ShapeError);
    expect(() => allGather([a], 2)).toThrowError(ArgumentError);
    expect(() => allGather([])).toThrowError(ArgumentError);
    expect(() => allReduceSum(null as never)).toThrowError(ArgumentError, /a list of at least one tensor/);
    expect(() => allReduceSum([a, 3 as never])).toThrowError(ArgumentError, /allReduceSum: expected a tensor/);
    expect(() => broadcast(3 as never, ['cpu'])).toThrowError(ArgumentError, /broadcast: expected a tensor/);
    expect(() => broadcast(a, 'cpu' as never)).toThrowError(ArgumentError, /a non-empty list of devices.*cpu/);
    expect(() => broadcast(a, [])).toThrowError(ArgumentError);
    expect(() => broadcast(a, ['nowhere'])).toThrowMatching(
      (e) => e instanceof DeviceError && !(e instanceof DeviceLostError) && /registered/.test(e.message),
    );
    tf.dispose([a, b]);
  });

  it('keeps int32 words as they are', () => {
    const words = tf.tensor1d([-1, 0x7fffffff, -0x80000000, 0x01000001], 'int32');
    const there = copyTo(words, 'wasm');
    expect([there.dtype, Array.from(there.dataSync())]).toEqual(['int32', [-1, 0x7fffffff, -0x80000000, 0x01000001]]);
    tf.dispose([words, there]);
  });
});
