/** Threads that share the rows of every product on tf.js's wasm backend. */
import * as tf from '@tensorflow/tfjs';
import {ACTIVATIONS} from '../../kernels/activation.js';
import {LOWERING} from '../../kernels/wasm/generated/binary.js';
import {binary, compiled, heapOf, WasmHeap} from '../../kernels/wasm/module.js';
import type {Cut} from '../../kernels/wasm/parallel.js';
import {
  ArgumentError,
  DeviceError,
  Linear,
  memory,
  ops,
  PastPositions,
  QuantizationEncoding,
  QuantizedWeight,
  startThreads,
  stopThreads,
  threadCount,
} from '../../src/index.js';
import {commonPool} from '../../src/sharding/pool.js';
import {SharedHeap} from '../../src/sharding/shared_heap.js';
import {Team} from '../../src/sharding/team.js';
import {TEAM} from '../../src/sharding/team_source.js';
import {ThreadedHeap} from '../../src/sharding/threaded_heap.js';
import {startTeam} from '../../src/sharding/threads.js';
import {buildWeight, randomWeights, randomX} from '../grid/layouts.js';
import {numbersOf} from '../support/numbers.js';
import {onWasmWithThreads} from '../support/on_wasm.js';

/** Every call is shared, however small. */
const EVERY_CALL = {awake: 0, asleep: 0};

/** Bits: -0 is not 0, and NaN is itself. */
const bits = (values: Float32Array) => new Int32Array(values.buffer);

const heapBytes = () => (tf.findBackend('wasm') as unknown as {wasm: {HEAPU8: Uint8Array}}).wasm.HEAPU8.length;

/** What each number of threads gives, in order. */
async function withEach<T>(threads: readonly number[], f: () => T): Promise<T[]> {
  const results: T[] = [];
  for (const count of threads) {
    await startTeam({threads: count, least: EVERY_CALL, adapts: false});
    results.push(f());
  }
  await stopThreads();
  return results;
}

describe('threads', () => {
  onWasmWithThreads();

  // First: in Node this is where tensors move to a shared memory.
  it('find weights and tensors where they were', async () => {
    const layer = new Linear({inDim: 256, outDim: 40, quantizationEncoding: QuantizationEncoding.Q4_0, device: 'wasm'});
    const {layout, words} = buildWeight('held', {n: 40, k: 256, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 6);
    const weight = QuantizedWeight.fromWords(layout, words);
    const x = tf.tensor2d(randomX(2, 256, 1), [2, 256]);
    const held = memory();
    const expected = numbersOf(ops.quantizedMatMul(x, weight));
    expect(threadCount()).toBe(1);
    expect(await startThreads(2)).toBe(2);
    expect(threadCount()).toBe(2);
    expect(memory()).toEqual(held);
    expect(numbersOf(ops.quantizedMatMul(x, weight))).toEqual(expected);
    // tf.js's own kernels go on as well.
    const [square, sum] = tf.tidy(() => [tf.matMul(x, x, false, true), tf.sum(tf.square(x), 1)]);
    expect(square.dataSync()[0]).toBeCloseTo(sum.dataSync()[0] as number, 3);
    tf.dispose([square, sum]);
    await stopThreads();
    expect(numbersOf(ops.quantizedMatMul(x, weight))).toEqual(expected);
    expect(memory()).toEqual(held);
    weight.dispose();
    x.dispose();
    layer.dispose();
    expect(memory().codesBytes).toBe(held.codesBytes - layout.outDim * (256 / 8 + 256 / 32 / 2) * 4 - layer.byteLength);
  });

  it('give the numbers of one thread, in every layout and for every number of rows', async () => {
    const weights = [
      ...randomWeights(),
      // Fewer rows than threads, or than the kernels take together.
      ...[1, 2, 9].map((n) => buildWeight(`${n} rows`, {n, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, n)),
    ];
    const all = () =>
      weights.map(({layout, words, name}) => {
        const weight = QuantizedWeight.fromWords(layout, words.slice());
        const bias = tf.tensor1d(randomX(1, layout.outDim, 4));
        const values = [0, 1, 5].flatMap((m) => {
          const x = tf.tensor2d(randomX(m, layout.inDim, 3), [m, layout.inDim]);
          const ys = [
            ops.quantizedMatMul(x, weight),
            ops.quantizedMatMul(x, weight, {bias, activation: 'silu'}),
            ops.quantizedMatMul(x, weight, {inputPrecision: 'float32'}),
          ];
          x.dispose();
          return ys.map((y) => bits(numbersOf(y)));
        });
        bias.dispose();
        weight.dispose();
        return {name, values};
      });
    const numTensors = tf.memory().numTensors;
    const [one, two, five] = await withEach([1, 2, 5], all);
    expect(two).toEqual(one as NonNullable<typeof one>);
    expect(five).toEqual(one as NonNullable<typeof one>);
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  it('share many rows of x, and the steps between products', async () => {
    const {layout, words} = buildWeight('many', {n: 37, k: 96, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 6);
    const weight = QuantizedWeight.fromWords(layout, words);
    const x = tf.tensor2d(randomX(500, 96, 5), [500, 96]);
    const gain = tf.tensor1d(randomX(1, 96, 7));
    const [one, three] = await withEach([1, 3], () =>
      [
        ops.quantizedMatMul(x, weight, {activation: 'gelu'}),
        ops.quantizedMatMul(x, weight, {inputPrecision: 'float32'}),
        ops.rmsNorm(x, gain, 1e-5),
        ...ACTIVATIONS.map((activation) => ops.gatedActivation(x, activation)),
      ].map((y) => bits(numbersOf(y))),
    );
    expect(one?.length).toBe(3 + ACTIVATIONS.length);
    expect(three).toEqual(one as NonNullable<typeof one>);
    tf.dispose([x, gain]);
    weight.dispose();
  });

  it('share attention, of many positions and of one', async () => {
    const calls = [1, 1, 37, 1].map((count, i) => ({
      qkv: tf.tensor2d(randomX(count, 15 * 12, i), [count, 15 * 12]),
      rotation: {cos: tf.tensor2d(randomX(count, 6, 8), [count, 6]), sin: tf.tensor2d(randomX(count, 6, 9), [count, 6])},
    }));
    const [one, two, five] = await withEach([1, 2, 5], () => {
      const past = new PastPositions({keyHeads: 3, headDim: 12});
      const values = calls.map(({qkv, rotation}) => bits(numbersOf(ops.attend(qkv, past, rotation))));
      past.dispose();
      return values;
    });
    expect(two).toEqual(one as NonNullable<typeof one>);
    expect(five).toEqual(one as NonNullable<typeof one>);
    tf.dispose(calls as unknown as tf.TensorContainer);
  });

  it('leave nothing behind: memory that weights gave back is used again', async () => {
    const {layout, words} = buildWeight('large', {n: 1024, k: 2048, planes: [8], scales: [['float32', 1, 64]]}, 6);
    const x = tf.tensor2d(randomX(3, 2048, 1), [3, 2048]);
    const {threads} = await commonPool();
    const sizes: number[] = [];
    for (let round = 0; round < 12; round++) {
      await startTeam({threads: 2, least: EVERY_CALL, adapts: false});
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      ops.quantizedMatMul(x, weight).dispose();
      weight.dispose();
      await stopThreads();
      sizes.push(heapBytes());
    }
    // 25 MB in all, were they kept.
    expect((sizes.at(-1) as number) - (sizes[2] as number)).toBe(0);
    expect((await commonPool()).threads.length).toBe(threads.length);
    expect(heapOf(tf.backend())).toBeInstanceOf(WasmHeap);
    expect(heapOf(tf.backend())).not.toBeInstanceOf(ThreadedHeap);
    x.dispose();
  });

  it('are as many as the last call says', async () => {
    const {threads} = await commonPool();
    const counts = await Promise.all([startThreads(2), startThreads(3), startThreads(1), startThreads(2)]);
    expect(counts).toEqual([2, 3, 1, 2]);
    expect((await commonPool()).threads.length).toBe(threads.length + 1);
    expect(await startThreads()).toBeGreaterThanOrEqual(1);
    await stopThreads();
    await stopThreads();
    for (const count of [0, -1, 1.5, 33, Number.NaN]) await expectAsync(startThreads(count)).toBeRejectedWithError(ArgumentError);
    expect(threadCount()).toBe(1);
  });

  it('need shared memory, and the error says which headers bring it', async () => {
    const held = Object.getOwnPropertyDescriptor(globalThis, 'SharedArrayBuffer') as PropertyDescriptor;
    Reflect.deleteProperty(globalThis, 'SharedArrayBuffer');
    try {
      await expectAsync(startThreads(2)).toBeRejectedWithError(DeviceError, /Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/s);
    } finally {
      Object.defineProperty(globalThis, 'SharedArrayBuffer', held);
    }
    expect(threadCount()).toBe(1);
  });

  it('do without a worker that has ended', async () => {
    const {layout, words} = buildWeight('few', {n: 64, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 6);
    const weight = QuantizedWeight.fromWords(layout, words);
    const x = tf.tensor2d(randomX(2, 64, 1), [2, 64]);
    const expected = numbersOf(ops.quantizedMatMul(x, weight));
    await startTeam({threads: 3, least: EVERY_CALL, adapts: false});
    const {threads} = await commonPool();
    await threads.at(-1)?.terminate();
    for (let call = 0; call < 20; call++) expect(numbersOf(ops.quantizedMatMul(x, weight))).toEqual(expected);
    await stopThreads();
    x.dispose();
    weight.dispose();
  });
});

describe('Team', () => {
  /** Rows of x, by twos of float32. */
  const cut: Cut = {rows: {count: 1}, together: 1, moves: [], scratchAt: -1, scratchBytes: 0, cost: 1};

  async function teamOn(heap: SharedHeap, patienceMs: number, {module} = compiled(true)): Promise<Team> {
    const pool = await commonPool();
    const team = new Team([await pool.grow()], 1, patienceMs);
    pool.attach(module, heap.memory, team.threads, (worker) => team.dataFor(worker));
    await team.ready();
    return team;
  }

  /** Until the worker has taken some. */
  const slowly = () => {
    for (const start = performance.now(); performance.now() - start < 50; );
  };

  async function end(team: Team): Promise<void> {
    team.end();
    const pool = await commonPool();
    await Promise.all(team.threads.map((thread) => pool.remove(thread)));
  }

  const call = {name: 'gated', exported: slowly, cut, begin: 0, end: 64, scratch: 0, scratchStep: 0} as const;

  it('throws where a worker failed', async () => {
    const team = await teamOn(new SharedHeap(), 10_000);
    // An export that the worker does not have.
    expect(() => team.run({...call, name: 'none' as 'gated', args: [1024, 8, 16, 1, 1024]})).toThrowMatching(
      (e) => e instanceof DeviceError && /worker 1 of startThreads.*startThreads\(\)/s.test(e.message),
    );
    await end(team);
  });

  it('throws where a worker does not answer, and where this thread fails', async () => {
    const pool = await commonPool();
    // It never joins: a worker that has ended may go on for a while.
    const absent = await pool.grow();
    const team = new Team([absent], 1, 200);
    // What a worker does that takes a part and is gone.
    const words = new Int32Array(team.dataFor(1).control);
    const taken = () => {
      Atomics.add(words, TEAM.claim, 1);
    };
    expect(() => team.run({...call, exported: taken, args: [1024, 8, 0, 1, 1024]})).toThrowError(DeviceError, /no answer/);
    await pool.remove(absent);
    const other = await teamOn(new SharedHeap(), 10_000);
    const failing = () => {
      throw new RangeError('here');
    };
    expect(() => other.run({...call, exported: failing, args: [1024, 8, 0, 1, 1024]})).toThrowError(RangeError, 'here');
    expect(() => other.run({...call, args: [1024, 8, 0, 1, 1024]})).not.toThrow();
    await end(other);
  });

  describe('walking a chain', () => {
    /** No steps. */
    const chain = {exported: () => 0, steps: 1024, count: 0, control: 1024, scratch: 2048, scratchStep: 64, close: () => undefined};

    it('throws where a worker failed, and lets all leave', async () => {
      // A module without what the worker is to call.
      const team = await teamOn(new SharedHeap(), 10_000, {module: new WebAssembly.Module(binary(LOWERING, true)), relaxed: false});
      const close = jasmine.createSpy('close');
      expect(() => team.runChain({...chain, exported: () => 7, close})).toThrowError(DeviceError, /worker 1 of startThreads/);
      expect(close).toHaveBeenCalledTimes(1);
      await end(team);
    });

    it('throws where nothing happens for long, and where a worker does not leave', async () => {
      const pool = await commonPool();
      const absent = await pool.grow();
      const team = new Team([absent], 1, 200);
      const close = jasmine.createSpy('close');
      expect(() => team.runChain({...chain, exported: () => 7, close})).toThrowError(DeviceError, /no answer/);
      expect(close).toHaveBeenCalledTimes(1);
      // Something always does for a while.
      let at = 0;
      const slow = () => {
        slowly();
        return at < 6 ? ++at : 0;
      };
      expect(() => team.runChain({...chain, exported: slow})).not.toThrow();
      const words = new Int32Array(team.dataFor(1).control);
      const staying = () => Atomics.store(words, TEAM.inside, 1) * 0;
      expect(() => team.runChain({...chain, exported: staying})).toThrowError(DeviceError, /no answer/);
      // Who holds a part and is gone is waited for once, not again for its leaving.
      const other = new Team([absent], 1, 1000);
      Atomics.store(new Int32Array(other.dataFor(1).control), TEAM.inside, 1);
      let now = 0;
      spyOn(performance, 'now').and.callFake(() => (now += 10));
      expect(() => other.runChain({...chain, exported: () => 7})).toThrowError(DeviceError, /no answer/);
      expect(now).toBeLessThan(1500);
      await pool.remove(absent);
    });

    it('throws what this thread throws, and goes on', async () => {
      const team = await teamOn(new SharedHeap(), 10_000);
      const failing = () => {
        throw new RangeError('here');
      };
      expect(() => team.runChain({...chain, exported: failing})).toThrowError(RangeError, 'here');
      expect(() => team.runChain(chain)).not.toThrow();
      expect(() => team.run({...call, args: [1024, 8, 0, 1, 1024]})).not.toThrow();
      await end(team);
    });
  });
});
