/** ops.chain: products and attentions one after the other as one op, against the ops one by one, on every backend. */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  type ChainStep,
  Linear,
  MLP,
  ops,
  PastPositions,
  type ProductStep,
  QuantizedWeight,
  ShapeError,
} from '../../src/index.js';
import {packedMLP} from '../layers/layers_support.js';
import {onEachBackend} from '../support/backends.js';
import {numbersOf} from '../support/numbers.js';
import {apart} from './chain_support.js';
import {buildWeight, randomX} from './layouts.js';

const [HEADS, KEY_HEADS, DIM] = [4, 2, 8];
const HIDDEN = HEADS * DIM;
const EPSILON = 1e-3;

function weightOf(n: number, k: number, seed: number): QuantizedWeight {
  const {layout, words} = buildWeight(`${n} x ${k}`, {n, k, planes: [4], zero: 8, scales: [['float16', 1, 16]]}, seed);
  return QuantizedWeight.fromWords(layout, words.slice());
}

/** Two blocks of a small decoder. */
class Blocks {
  readonly weights: QuantizedWeight[] = [];
  readonly norms: tf.Tensor1D[] = [];
  readonly bias = tf.tensor1d(randomX(1, (HEADS + 2 * KEY_HEADS) * DIM, 9));

  constructor() {
    for (let block = 0; block < 2; block++) {
      const shapes = [
        [(HEADS + 2 * KEY_HEADS) * DIM, HIDDEN],
        [HIDDEN, HIDDEN],
        [2 * 48, HIDDEN],
        [HIDDEN, 48],
      ] as const;
      shapes.forEach(([n, k], i) => this.weights.push(weightOf(n, k, 10 * block + i)));
      this.norms.push(tf.tensor1d(randomX(1, HIDDEN, 20 + block)), tf.tensor1d(randomX(1, HIDDEN, 30 + block)));
    }
  }

  steps(pasts: readonly PastPositions[], rotation: {cos: tf.Tensor2D; sin: tf.Tensor2D}): ChainStep[] {
    return [0, 1].flatMap((block): ChainStep[] => {
      const [qkv, output, gateUp, down] = this.weights.slice(4 * block, 4 * block + 4) as [
        QuantizedWeight,
        QuantizedWeight,
        QuantizedWeight,
        QuantizedWeight,
      ];
      const [first, second] = this.norms.slice(2 * block).map((weight) => ({weight, epsilon: EPSILON})) as [Norm, Norm];
      return [
        {weight: qkv, norm: first, bias: this.bias},
        {past: pasts[block] as PastPositions, rotation},
        {weight: output, residual: 3, activation: 'tanh'},
        {weight: gateUp, norm: second, gate: 'silu'},
        {weight: down, residual: 2},
      ];
    });
  }

  dispose(): void {
    for (const weight of this.weights) weight.dispose();
    tf.dispose([...this.norms, this.bias]);
  }
}

interface Norm {
  weight: tf.Tensor1D;
  epsilon: number;
}

const makePasts = () => [0, 1].map(() => new PastPositions({keyHeads: KEY_HEADS, headDim: DIM}));

function rotationAt(start: number, count: number) {
  const angles = Float32Array.from({length: (count * DIM) / 2}, (_, i) => (start + Math.floor((2 * i) / DIM)) / (1 + (i % (DIM / 2))));
  const of = (f: (angle: number) => number) => tf.tensor2d(angles.map(f), [count, DIM / 2]);
  return {cos: of(Math.cos), sin: of(Math.sin)};
}

describe('chain', () => {
  onEachBackend(() => {
    it('is its steps one by one, over blocks and calls', () => {
      const blocks = new Blocks();
      const [pasts, expectedPasts] = [makePasts(), makePasts()];
      let start = 0;
      for (const [call, count] of [5, 1, 1, 70, 1].entries()) {
        const rotation = rotationAt(start, count);
        const x = tf.tensor2d(randomX(count, HIDDEN, 40 + call), [count, HIDDEN]);
        const expected = apart(x, blocks.steps(expectedPasts, rotation));
        const values = numbersOf(expected);
        expect(new Set(values).size).toBeGreaterThan(values.length / 2);
        const y = ops.chain(x, blocks.steps(pasts, rotation));
        expect(y.shape).toEqual([count, HIDDEN]);
        expect(numbersOf(y)).toEqual(values);
        start += count;
        expect(pasts.map((past) => past.length)).toEqual([start, start]);
        tf.dispose([x, y, expected, rotation.cos, rotation.sin]);
      }
      for (const past of [...pasts, ...expectedPasts]) past.dispose();
      blocks.dispose();
    });

    it('leaves one tensor', () => {
      const blocks = new Blocks();
      const pasts = makePasts();
      const rotation = rotationAt(0, 3);
      const x = tf.tensor2d(randomX(3, HIDDEN, 1), [3, HIDDEN]);
      const {numTensors} = tf.memory();
      const y = ops.chain(x, blocks.steps(pasts, rotation));
      // Keys and values of two blocks besides.
      expect(tf.memory().numTensors).toBe(numTensors + 5);
      for (const past of pasts) past.dispose();
      y.dispose();
      expect(tf.memory().numTensors).toBe(numTensors);
      tf.dispose([x, rotation.cos, rotation.sin]);
      blocks.dispose();
    });

    it('of one step, of integers, of no rows', () => {
      const weight = weightOf(20, 32, 3);
      const x = tf.tensor2d(randomX(2, 32, 4), [2, 32]);
      const whole = tf.tensor2d(
        new Int32Array(64).map((_, i) => (i % 7) - 3),
        [2, 32],
        'int32',
      );
      for (const given of [x, whole]) {
        const [y, expected] = [ops.chain(given, [{weight, activation: 'relu'}]), ops.quantizedMatMul(given, weight, {activation: 'relu'})];
        expect(numbersOf(y)).toEqual(numbersOf(expected));
        tf.dispose([y, expected]);
      }
      const none = tf.zeros([0, 32]) as tf.Tensor2D;
      const y = ops.chain(none, [{weight, residual: null}]);
      expect(y.shape).toEqual([0, 20]);
      tf.dispose([x, whole, none, y]);
      weight.dispose();
    });

    it('adds what any step before was given', () => {
      const [a, b, c] = [weightOf(32, 32, 1), weightOf(32, 32, 2), weightOf(32, 32, 3)];
      const x = tf.tensor2d(randomX(2, 32, 4), [2, 32]);
      for (const residuals of [
        [1, 1, 1],
        [1, 2, 3],
        [null, 2, 3],
        [null, null, 2],
      ]) {
        const steps = [a, b, c].map((weight, i): ProductStep => ({weight, residual: residuals[i] ?? null}));
        const [y, expected] = [ops.chain(x, steps), apart(x, steps)];
        expect(numbersOf(y)).toEqual(numbersOf(expected));
        tf.dispose([y, expected]);
      }
      x.dispose();
      for (const weight of [a, b, c]) weight.dispose();
    });

    it('gives the gradients of its steps', () => {
      const blocks = new Blocks();
      const rotation = rotationAt(0, 2);
      const x = tf.tensor2d(randomX(2, HIDDEN, 5), [2, HIDDEN]);
      const pasts = [...makePasts(), ...makePasts()];
      const gradients = [ops.chain, apart].map((f, i) =>
        tf.grad((t) => tf.sum(f(t as tf.Tensor2D, blocks.steps(pasts.slice(2 * i), rotation))))(x),
      );
      const [got, expected] = gradients.map((t) => Array.from(numbersOf(t))) as [number[], number[]];
      expect(got).toEqual(expected);
      expect(got.some((v) => v !== 0)).toBeTrue();
      for (const past of pasts) past.dispose();
      tf.dispose([x, rotation.cos, rotation.sin, ...gradients]);
      blocks.dispose();
    });

    it('refuses steps that do not fit before it does any', () => {
      const blocks = new Blocks();
      const pasts = makePasts();
      const rotation = rotationAt(0, 2);
      const x = tf.zeros([2, HIDDEN]) as tf.Tensor2D;
      const steps = blocks.steps(pasts, rotation);
      const [first, last] = [steps[0] as ChainStep, steps.at(-1) as ProductStep];
      const cube = tf.zeros([2, 2, 16]) as unknown as tf.Tensor2D;
      const short = rotationAt(0, 1);
      const {numTensors} = tf.memory();
      const refuse = (end: object, type: new (...args: never[]) => Error, message: RegExp) =>
        expect(() => ops.chain(x, [...steps.slice(0, -1), end as ChainStep])).toThrowError(type as new () => Error, message);
      expect(() => ops.chain(x, [])).toThrowError(ArgumentError, /at least one step/);
      expect(() => ops.chain(cube, steps)).toThrowError(ShapeError, /chain: x.*\[M, K\].*\[2,2,16\]/);
      refuse({...last, residual: 11}, ArgumentError, /step 10: residual.*from 1 to 10.*11/);
      refuse({...last, residual: 1}, ShapeError, /step 10: residual.*\[M, 32\].*\[M, 48\]/);
      refuse({...last, residuals: 1}, ArgumentError, /step 10.*residuals/);
      refuse({...last, weight: blocks.weights[0]}, ShapeError, /step 10: x.*\[2,48\]/);
      refuse({weight: null}, ArgumentError, /step 10: weight/);
      refuse({past: pasts[0], rotation}, ArgumentError, /step 10: past.*an earlier step/);
      refuse({past: {}, rotation}, ArgumentError, /step 10: past/);
      expect(() => ops.chain(x, [first, {past: pasts[0] as PastPositions, rotation: short}])).toThrowError(
        ShapeError,
        /step 2.*cos \[1,4\]/,
      );
      expect(pasts.map((past) => past.length)).toEqual([0, 0]);
      expect(tf.memory().numTensors).toBe(numTensors);
      tf.dispose([x, cube, rotation.cos, rotation.sin, short.cos, short.sin]);
      blocks.dispose();
    });

    it('of layers: chainSteps are what forwardAround does', async () => {
      const norm = {weight: tf.tensor1d(randomX(1, 64, 2)), epsilon: EPSILON};
      const x = tf.tensor2d(randomX(2, 64, 1), [2, 64]);
      const layer = new Linear({inDim: 64, outDim: 64, dtype: 'bfloat16', hasBias: true});
      const state = {weight: tf.tensor2d(randomX(64, 64, 3), [64, 64]), bias: tf.tensor1d(randomX(1, 64, 4))};
      layer.loadStateDict(state);
      tf.dispose(state);
      const mlp = await packedMLP({bias: true});
      const steps = [...(layer.chainSteps({norm, residual: 1}) ?? []), ...(mlp.chainSteps({norm, residual: 2}) ?? [])];
      expect(steps.length).toBe(3);
      const first = layer.forwardAround(x, {norm, residual: x});
      const [y, expected] = [ops.chain(x, steps), mlp.forwardAround(first, {norm, residual: x})];
      expect(numbersOf(y)).toEqual(numbersOf(expected));
      tf.dispose([x, norm.weight, first, y, expected]);
      layer.dispose();
      mlp.dispose();
    });
  });

  it('looks into steps anew where what they name has changed', async () => {
    const norm = {weight: tf.tensor1d(randomX(1, 64, 2)), epsilon: EPSILON};
    const [x, wide] = [tf.tensor2d(randomX(2, 64, 1), [2, 64]), tf.zeros([2, 48]) as tf.Tensor2D];
    const layer = new Linear({inDim: 64, outDim: 64, dtype: 'bfloat16', hasBias: true});
    const load = (seed: number) => {
      const state = {weight: tf.tensor2d(randomX(64, 64, seed), [64, 64]), bias: tf.tensor1d(randomX(1, 64, seed + 1))};
      layer.loadStateDict(state);
      tf.dispose(state);
    };
    const stepOf = () => (layer.chainSteps({norm, residual: 1}) as ProductStep[])[0] as ProductStep;
    const check = () => {
      const [y, expected] = [ops.chain(x, [stepOf()]), layer.forwardAround(x, {norm, residual: x})];
      expect(numbersOf(y)).toEqual(numbersOf(expected));
      tf.dispose([y, expected]);
    };
    load(3);
    check();
    const step = stepOf();
    expect(stepOf()).toBe(step);
    expect(layer.chainSteps({norm})).not.toEqual([step]);
    check();
    // The object that a frozen step names is its owner's.
    norm.epsilon = 0.5;
    check();
    load(5);
    check();
    expect(() => ops.chain(wide, [step])).toThrowError(ShapeError, /step 1: x/);
    expect(() => ops.chain(x, [{...step, residual: null}, Object.freeze({...step, residual: 3})])).toThrowError(
      ArgumentError,
      /step 2: residual/,
    );
    norm.epsilon = -1;
    expect(() => ops.chain(x, [stepOf()])).toThrowError(ArgumentError, /step 1: norm/);
    norm.epsilon = EPSILON;
    check();
    const {weight} = norm;
    norm.weight = tf.tensor1d(randomX(1, 48, 2));
    expect(() => ops.chain(x, [stepOf()])).toThrowError(ShapeError, /step 1: norm/);
    norm.weight.dispose();
    norm.weight = weight;
    check();
    weight.dispose();
    expect(() => ops.chain(x, [stepOf()])).toThrowError(ArgumentError, /step 1: norm.*disposed/);
    layer.dispose();
    expect(() => ops.chain(x, [step])).toThrowError(ArgumentError, /step 1.*disposed/);
    tf.dispose([x, wide]);
  });

  it('has no steps of layers that are none', () => {
    class Twice extends Linear {
      override forward(x: tf.Tensor): tf.Tensor {
        return tf.mul(x, 2);
      }
    }
    const square = {inDim: 4, outDim: 4};
    const layers = [
      new Linear(square),
      new Linear({...square, dtype: 'bfloat16', clipWeight: 1}),
      new Twice({...square, dtype: 'bfloat16'}),
      new Linear({...square, dtype: 'bfloat16', activation: 'softsign'}),
      new Linear({...square, dtype: 'bfloat16', device: tf.getBackend() === 'cpu' ? 'wasm' : 'cpu'}),
      new MLP({hiddenDim: 4, feedForwardLength: 8, dtype: 'bfloat16'}),
    ];
    for (const layer of layers) {
      expect(layer.chainSteps()).toBeNull();
      layer.dispose();
    }
  });
});
