/** ops.chain of one row on wasm, which is one call of the module: every layout, by every kernel, on one thread and on several, bit for bit its ops. */
import * as tf from '@tensorflow/tfjs';
import {WASM_VARIANTS} from '../../kernels/wasm/choose.js';
import {heapOf, type WasmExports} from '../../kernels/wasm/module.js';
import {type ChainStep, ops, PastPositions, type ProductStep, QuantizedWeight, stopThreads} from '../../src/index.js';
import {startTeam} from '../../src/sharding/threads.js';
import {numbersOf} from '../support/numbers.js';
import {onWasmWithThreads} from '../support/on_wasm.js';
import {variantsOf} from '../support/variants.js';
import {apart} from './chain_support.js';
import {buildWeight, type NamedWeight, randomWeights, randomX} from './layouts.js';

/** Bits: -0 is not 0. All NaN are one: which they are is left to the engine, which compiles a kernel twice. */
const bitsOf = (t: tf.Tensor) => {
  const values = numbersOf(t).map((v) => (Number.isNaN(v) ? Number.NaN : v));
  t.dispose();
  return Array.from(new Int32Array(values.buffer, values.byteOffset, values.length));
};

const plain = (name: string, n: number, k: number, seed: number) =>
  buildWeight(name, {n, k, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, seed);

/** Every layout; those of an even number of rows can be gated, 96 and 70 of them in runs of 16 and not. */
const WEIGHTS: readonly NamedWeight[] = [
  ...randomWeights(),
  plain('96 rows', 96, 64, 1),
  plain('70 rows', 70, 64, 2),
  plain('one row', 1, 32, 3),
  buildWeight('blocks of 128', {n: 48, k: 256, planes: [4], zero: 8, scales: [['float16', 1, 128]]}, 4),
];

/** x that 16-bit integers hold in blocks of 128, in blocks of 32 alone, and not at all. */
const KINDS: Readonly<Record<string, (x: Float32Array) => void>> = {
  ordinary: () => undefined,
  'with an outlier': (x) => {
    x[5] = 4000;
  },
  'with infinity and NaN': (x) => {
    x[3] = Number.POSITIVE_INFINITY;
    x[4] = Number.NaN;
  },
  tiny: (x) => {
    for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) * 1e-35;
  },
  'of zeros': (x) => {
    x.fill(0);
  },
};

/** One step of each kind of surroundings, and the same with an op a step. */
function both(weight: QuantizedWeight, x: tf.Tensor2D): [number[], number[]][] {
  const [n, k] = weight.shape;
  const norm = {weight: tf.tensor1d(randomX(1, k, 7)), epsilon: 1e-3};
  const bias = tf.tensor1d(randomX(1, n, 8));
  const steps: Omit<ProductStep, 'weight'>[] = [
    {},
    {norm, bias},
    {activation: 'silu'},
    {inputPrecision: 'float32', bias, activation: 'relu'},
  ];
  if (n % 2 === 0) steps.push({gate: 'silu'}, {norm, bias, activation: 'tanh', gate: 'gelu'});
  if (n === k) steps.push({residual: 1, norm});
  const results = steps.map((step): [number[], number[]] => {
    const {residual, ...options} = step;
    const given = {...options, residual: residual ? x : null};
    return [bitsOf(ops.chain(x, [{weight, ...step}])), bitsOf(ops.fusedMatMul(x, weight, given))];
  });
  tf.dispose([norm.weight, bias]);
  return results;
}

/** A decoder's block of odd sizes over three positions, and the same with an op a step. */
function block(run: (x: tf.Tensor2D, steps: readonly ChainStep[]) => tf.Tensor2D): number[][] {
  const [heads, keyHeads, dim, wide] = [6, 2, 8, 160];
  const hidden = heads * dim;
  const shapes = [
    [(heads + 2 * keyHeads) * dim, hidden] as const,
    [hidden, hidden] as const,
    [2 * wide, hidden] as const,
    [hidden, wide] as const,
  ];
  const weights = shapes.map(([n, k], i) => {
    const {layout, words} = buildWeight(`${n} x ${k}`, {n, k, planes: [4], zero: 8, scales: [['float16', 1, 16]]}, i);
    return QuantizedWeight.fromWords(layout, words);
  });
  const [qkv, output, gateUp, down] = weights as [QuantizedWeight, QuantizedWeight, QuantizedWeight, QuantizedWeight];
  const norm = {weight: tf.tensor1d(randomX(1, hidden, 7)), epsilon: 1e-3};
  const past = new PastPositions({keyHeads, headDim: dim});
  const found = [0, 1, 2].map((position) => {
    const cos = tf.tensor2d(randomX(1, dim / 2, position), [1, dim / 2]);
    const sin = tf.tensor2d(randomX(1, dim / 2, 9 + position), [1, dim / 2]);
    const x = tf.tensor2d(randomX(1, hidden, 20 + position), [1, hidden]);
    const y = run(x, [
      {weight: qkv, norm},
      {past, rotation: {cos, sin}},
      {weight: output, residual: 3},
      {weight: gateUp, norm, gate: 'silu'},
      {weight: down, residual: 2},
    ]);
    tf.dispose([cos, sin, x]);
    return bitsOf(y);
  });
  past.dispose();
  norm.weight.dispose();
  for (const weight of weights) weight.dispose();
  return found;
}

describe('chain of one row on wasm', () => {
  onWasmWithThreads();
  const variants = variantsOf('wasm');
  afterEach(() => variants.force(null));

  function check(kinds: readonly string[]): void {
    const {numTensors} = tf.memory();
    for (const {layout, words, name} of WEIGHTS) {
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      for (const kind of kinds) {
        const values = randomX(1, layout.inDim, 3);
        KINDS[kind]?.(values);
        const x = tf.tensor2d(values, [1, layout.inDim]);
        both(weight, x).forEach(([got, expected], i) => expect(got).withContext(`${name}, x ${kind}, step ${i}`).toEqual(expected));
        x.dispose();
      }
      weight.dispose();
    }
    expect(tf.memory().numTensors).toBe(numTensors);
  }

  for (const variant of [null, ...WASM_VARIANTS]) {
    it(`is its op, in every layout, by ${variant ?? 'the kernel chosen'}`, () => {
      variants.force(variant);
      check(Object.keys(KINDS));
    });
  }

  for (const threads of [2, 5]) {
    it(`is its op on ${threads} threads`, async () => {
      await startTeam({threads, least: {awake: 0, asleep: 0}, adapts: false});
      check(['ordinary', 'with infinity and NaN']);
      variants.force('gemv_int16');
      check(['ordinary', 'with an outlier']);
      await stopThreads();
    });
  }

  it('of a block is the same on 1, 2, 3 and 7 threads, in one call of the module', async () => {
    const expected = block(apart);
    for (const threads of [1, 2, 3, 7]) {
      if (threads > 1) await startTeam({threads, least: {awake: 0, asleep: 0}, adapts: false});
      const heap = heapOf(tf.backend());
      const spies: Partial<Record<keyof WasmExports, number>> = {};
      const {exports} = heap;
      heap.exports = Object.fromEntries(
        Object.entries(exports).map(([name, f]) => [
          name,
          (...args: number[]) => {
            spies[name as keyof WasmExports] = (spies[name as keyof WasmExports] ?? 0) + 1;
            return (f as (...a: number[]) => unknown)(...args);
          },
        ]),
      ) as unknown as WasmExports;
      // Many times: threads meet in another order each.
      for (let round = 0; round < (threads === 1 ? 1 : 20); round++)
        expect(block(ops.chain)).withContext(`${threads} threads`).toEqual(expected);
      expect(Object.keys(spies)).toEqual(['runChain']);
      heap.exports = exports;
    }
    await stopThreads();
  });

  it('of a block is made by one thread where the others never begin', () => {
    const expected = block(apart);
    const heap = heapOf(tf.backend());
    for (const thread of [0, 2]) {
      const walked = jasmine.createSpy('walked').and.callFake((steps: number, count: number, ownBytes: number) => {
        const control = heap.scratch(ownBytes + 5 * 64);
        heap.write(control, new Int32Array(80));
        expect(heap.exports.runChain(steps, count, control, control + 5 * 64, thread, 3)).toBe(0);
      });
      Object.defineProperties(heap, {threads: {value: 3, configurable: true}, runChain: {value: walked, configurable: true}});
      try {
        expect(block(ops.chain)).withContext(`thread ${thread}`).toEqual(expected);
      } finally {
        for (const own of ['threads', 'runChain']) Reflect.deleteProperty(heap, own);
      }
      expect(walked).toHaveBeenCalled();
    }
  });
});
