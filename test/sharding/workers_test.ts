/** Workers as devices of their own. */
import * as tf from '@tensorflow/tfjs';
import {RowReader} from '../../kernels/cpu/row.js';
import {partsOf} from '../../kernels/words.js';
import {onDevice} from '../../src/device.js';
import {
  ArgumentError,
  ColumnParallelLinear,
  DeviceError,
  DeviceLostError,
  DeviceRef,
  DistributedMLP,
  Linear,
  listDevices,
  MLP,
  ops,
  QuantizedWeight,
  ShardedLinear,
  ShardingStrategy,
  ShardManager,
  startWorkers,
} from '../../src/index.js';
import {commonPool} from '../../src/sharding/pool.js';
import {SharedHeap} from '../../src/sharding/shared_heap.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {type NamedWeight, randomWeights, randomX, seeded} from '../grid/layouts.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {numbersOf} from '../support/numbers.js';

describe('SharedHeap', () => {
  it('gives each its own bytes, and takes back what is free', () => {
    const heap = new SharedHeap();
    const random = seeded(5);
    const held = new Map<number, number>();
    let overlaps = 0;
    for (let i = 0; i < 2000; i++) {
      if (held.size > 40 || (held.size > 0 && random() < 0.4)) {
        const address = [...held.keys()][Math.floor(random() * held.size)] as number;
        heap.release(address);
        held.delete(address);
        continue;
      }
      const bytes = 1 + Math.floor(random() * 5000);
      const address = heap.allocate(bytes);
      const fits = address % 16 === 0 && address + bytes <= heap.memory.buffer.byteLength;
      if (!fits || [...held].some(([other, size]) => address < other + size && other < address + bytes)) overlaps++;
      held.set(address, bytes);
    }
    expect(overlaps).toBe(0);
    for (const address of held.keys()) heap.release(address);
    expect(heap.usedBytes).toBe(0);
    // All of it is one piece again.
    const before = heap.memory.buffer.byteLength;
    heap.release(heap.allocate(before - 4096));
    expect(heap.memory.buffer.byteLength).toBe(before);
    heap.release(12345);
  });

  it('grows, and says so where it cannot', () => {
    const heap = new SharedHeap();
    const large = heap.allocate(64 * 2 ** 20);
    expect(heap.memory.buffer.byteLength).toBeGreaterThan(64 * 2 ** 20);
    heap.release(large);
    expect(() => heap.allocate(2 ** 32)).toThrowMatching((e) => e instanceof DeviceError && /4294967296 more bytes/.test(e.message));
  });
});

/** x . W^T in float64. */
function product(x: Float32Array, {layout, words}: NamedWeight, m: number): Float64Array {
  const {outDim: n, inDim: k} = layout;
  const reader = new RowReader(layout, partsOf(layout, words));
  const y = new Float64Array(m * n);
  const row = new Float32Array(k);
  for (let j = 0; j < n; j++) {
    reader.read(j, row);
    for (let i = 0; i < m; i++)
      for (let c = 0; c < k; c++) y[i * n + j] = (y[i * n + j] as number) + (x[i * k + c] as number) * (row[c] as number);
  }
  return y;
}

describe('workers as devices', () => {
  beforeAll(async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
    await startWorkers(2);
  });

  it('are so many that a machine can have them', async () => {
    for (const count of [-1, 1.5, 1e20, null as never])
      await expectAsync(startWorkers(count)).toBeRejectedWithError(ArgumentError, /from 0 to 1024/);
  });

  it('every layout, one row and several', async () => {
    for (const named of randomWeights()) {
      const {layout, words, name} = named;
      const {outDim: n, inDim: k} = layout;
      for (const m of [1, 5]) {
        const x = randomX(m, k, 3);
        const ref = new DeviceRef('worker:0');
        const weight = onDevice(ref, () => QuantizedWeight.fromWords(layout, words.slice()));
        const [y, exact, whole] = onDevice(ref, () => {
          const xs = tf.tensor2d(x, [m, k]);
          const results = [
            ops.quantizedMatMul(xs, weight, {activation: 'relu'}),
            ops.quantizedMatMul(xs, weight, {inputPrecision: 'float32'}),
            weight.dequantize(),
          ];
          xs.dispose();
          return results;
        }) as [tf.Tensor, tf.Tensor, tf.Tensor];
        const expected = product(x, named, m);
        const scale = Math.max(...expected.map(Math.abs));
        // A few outputs can cancel: measured by the largest.
        const error = (values: ArrayLike<number>, reference: ArrayLike<number>) =>
          Math.max(...Array.from(values, (v, i) => Math.abs(v - (reference[i] as number)))) / scale;
        expect(error(await exact.data(), expected))
          .withContext(name)
          .toBeLessThanOrEqual(1e-5);
        expect(
          error(
            y.dataSync(),
            expected.map((v) => Math.max(0, v)),
          ),
        )
          .withContext(name)
          .toBeLessThanOrEqual(1e-3);
        const reader = new RowReader(layout, partsOf(layout, words));
        const last = new Float32Array(k);
        reader.read(n - 1, last);
        expect(
          whole
            .dataSync()
            .slice((n - 1) * k)
            .map((v) => v + 0),
        )
          .withContext(name)
          .toEqual(last.map((v) => v + 0));
        tf.dispose([y, exact, whole]);
        weight.dispose();
      }
    }
  });

  it('layers over workers are as on one device, at once and awaited', async () => {
    for (const name of ['gptq_b4_g64_asym_act_v2', 'ct_w8a8_int8', 'gguf_q4_k', 'dense_f32_bias']) {
      const c = caseNamed(name);
      const reference = await filesOf(c);
      const {layer} = await openLinear(c, reference.files);
      const x = tf.tensor2d(reference.x, [reference.x.length / c.inDim, c.inDim]);
      const expected = numbersOf(layer.forward(x));
      for (const strategy of [ShardingStrategy.rowwise(3), ShardingStrategy.columnwise(3)]) {
        const spread = ShardedLinear.of(layer, {devices: ['worker:0', 'cpu', 'worker:1'], strategy});
        for (let call = 0; call < 10; call++) {
          expect(rowErrors(numbersOf(spread.forward(x)), expected, c.outDim))
            .withContext(name)
            .toBeLessThanOrEqual(1e-4);
          expect(rowErrors(numbersOf(await spread.forwardAsync(x)), expected, c.outDim))
            .withContext(name)
            .toBeLessThanOrEqual(1e-4);
        }
        const back = spread.weight.dequantize();
        const whole = layer.weight.dequantize();
        expect(rowErrors(numbersOf(back), numbersOf(whole), c.inDim)).toBe(0);
        spread.dispose();
      }
      x.dispose();
      layer.dispose();
    }
    const whole = new MLP({hiddenDim: 12, feedForwardLength: 21, hasBias: true});
    const mlp = new DistributedMLP({hiddenDim: 12, feedForwardLength: 21, hasBias: true, devices: ['worker:0', 'worker:1', 'wasm']});
    const state = whole.stateDict();
    mlp.loadStateDict(state);
    const x = tf.tensor2d(randomX(4, 12), [4, 12]);
    const expected = numbersOf(whole.forward(x));
    for (let call = 0; call < 20; call++) expect(rowErrors(numbersOf(mlp.forward(x)), expected, 12)).toBeLessThanOrEqual(2e-6);
    tf.dispose([state, x]);
    whole.dispose();
    mlp.dispose();
  });

  it('a worker works while this thread does', async () => {
    // The call returns before the product is there: reading waits.
    const layer = new Linear({inDim: 1024, outDim: 2048, device: 'worker:1'});
    const x = tf.ones([32, 1024]);
    layer.forward(x).dispose();
    const times = {submit: Number.POSITIVE_INFINITY, read: 0};
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      const y = layer.forward(x);
      const submitted = performance.now();
      numbersOf(y);
      times.submit = Math.min(times.submit, submitted - start);
      times.read = Math.max(times.read, performance.now() - submitted);
    }
    expect(times.submit).toBeLessThan(times.read);
    x.dispose();
    layer.dispose();
  });

  it('a worker that fails is named, and its shards go on elsewhere', async () => {
    const manager = await ShardManager.create({devices: ['cpu', 'worker:2']});
    const layer = new Linear({inDim: 8, outDim: 6});
    const spread = await manager.spread(layer);
    const x = tf.tensor2d(randomX(2, 8), [2, 8]);
    const expected = numbersOf(layer.forward(x));
    expect(rowErrors(numbersOf(spread.forward(x)), expected, 6)).toBeLessThanOrEqual(1e-6);
    // A command on a memory that it never got.
    const {threads} = await commonPool();
    threads[threads.length - 1]?.post({code: 0, heap: 99, args: []});
    expect(() => spread.forward(x)).toThrowMatching((e) => e instanceof DeviceLostError && e.device === 'worker:2');
    await expectAsync(spread.forwardAsync(x)).toBeRejectedWithError(DeviceLostError);
    await manager.evict('worker:2');
    expect(rowErrors(numbersOf(spread.forward(x)), expected, 6)).toBeLessThanOrEqual(1e-6);
    x.dispose();
    layer.dispose();
    spread.dispose();
  });

  it('are listed, opened by a manager, and give their memory back', async () => {
    const manager = await ShardManager.create({devices: ['worker:0', 'worker:1']});
    const info = listDevices().find(({name}) => name === 'worker:1');
    expect(info).toEqual(jasmine.objectContaining({backend: 'worker', isStarted: true, isSynchronous: true}));
    expect(info?.memoryBytes).toBeLessThanOrEqual(2 ** 32);
    const layer = new Linear({inDim: 64, outDim: 64});
    const x = tf.ones([1, 64]);
    const backend = tf.findBackend('worker:0');
    const before = backend.numDataIds();
    for (let i = 0; i < 3; i++) {
      const spread = await manager.spread(layer);
      expect(spread.places.map(({device}) => device)).toEqual(['worker:0', 'worker:1']);
      numbersOf(spread.forward(x));
      spread.dispose();
    }
    expect(backend.numDataIds()).toBe(before);
    const head = new ColumnParallelLinear({inDim: 4, outDim: 3, devices: ['worker:0'], home: 'worker:0'});
    const y = tf.tidy(() => head.forward(tf.ones([2, 4])));
    expect((await y.data()).length).toBe(6);
    y.dispose();
    head.dispose();
    x.dispose();
    layer.dispose();
  });
});
