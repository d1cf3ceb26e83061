/** A product with a norm before it, a gate and a residual after it, against float64, on every backend. */
import * as tf from '@tensorflow/tfjs';
import {type Activation, activate} from '../../kernels/activation.js';
import {ArgumentError, Linear, MLP, ops, QuantizedWeight, ShapeError} from '../../src/index.js';
import {packedLayer, packedMLP, setSeededWeights} from '../layers/layers_support.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {numbersOf} from '../support/numbers.js';
import {productOf, unpacked} from '../support/reference.js';
import {buildWeight, randomX, type Structure} from './layouts.js';

const EPSILON = 1e-3;

const STRUCTURES: Readonly<Record<string, Structure>> = {
  '4 bits': {n: 38, k: 96, planes: [4], zero: 8, scales: [['float16', 1, 32]]},
  '8 bits, ordered': {n: 70, k: 80, planes: [8], zero: 128, scales: [['float32', 1, 16]], ordered: true},
  float16: {n: 20, k: 48, planes: [16], decode: {kind: 'float', type: 'float16'}},
};

interface Values {
  readonly norm: Float32Array | null;
  readonly gate: Activation | null;
  readonly residual: boolean;
}

const SURROUNDINGS: Readonly<Record<string, Omit<Values, 'norm'> & {norm: boolean}>> = {
  nothing: {norm: false, gate: null, residual: false},
  'a norm': {norm: true, gate: null, residual: false},
  'a gate': {norm: false, gate: 'silu', residual: false},
  'a residual': {norm: false, gate: null, residual: true},
  'all three': {norm: true, gate: 'gelu_tanh', residual: true},
};

function normalised(x: Float32Array, weight: Float32Array | null, m: number): ArrayLike<number> {
  if (weight === null) return x;
  const k = x.length / m;
  return Float64Array.from(x, (value, at) => {
    const row = x.subarray(at - (at % k), at - (at % k) + k);
    const mean = row.reduce((sum, v) => sum + v * v, 0) / k;
    return (value / Math.sqrt(mean + EPSILON)) * (weight[at % k] as number);
  });
}

function gated(y: Float64Array, gate: Activation | null, n: number): Float64Array {
  if (gate === null) return y;
  const half = n / 2;
  return Float64Array.from({length: y.length / 2}, (_, at) => {
    const first = Math.floor(at / half) * n + (at % half);
    return activate(gate, y[first] as number) * (y[first + half] as number);
  });
}

describe('fusedMatMul', () => {
  onEachBackend((backend) => {
    // 16-bit integers on wasm.
    const bound = backend === 'wasm' ? 1e-4 : 2e-6;
    for (const [structure, shape] of Object.entries(STRUCTURES)) {
      for (const [name, given] of Object.entries(SURROUNDINGS)) {
        it(`of ${structure} with ${name}`, async () => {
          const built = buildWeight(structure, shape, 5);
          const [n, k] = [shape.n, shape.k];
          const width = given.gate === null ? n : n / 2;
          const weight = QuantizedWeight.fromWords(built.layout, built.words.slice());
          const biasValues = randomX(1, n, 4);
          const [bias, factors] = [tf.tensor1d(biasValues), randomX(1, k, 6)];
          const norm = given.norm ? {weight: tf.tensor1d(factors), epsilon: EPSILON} : null;
          for (const m of [1, 3]) {
            const [xs, rs] = [randomX(m, k, 7), randomX(m, width, 8)];
            const x = tf.tensor3d(xs, [1, m, k]);
            const residual = given.residual ? tf.tensor3d(rs, [1, m, width]) : null;
            const numTensors = tf.memory().numTensors;
            const y = ops.fusedMatMul(x, weight, {bias, activation: 'tanh', norm, gate: given.gate, residual});
            expect(tf.memory().numTensors).toBe(numTensors + 1);
            expect(y.shape).toEqual([1, m, width]);
            const product = productOf(normalised(xs, norm === null ? null : factors, m), unpacked(built), m, n, biasValues, 'tanh');
            const expected = gated(product, given.gate, n).map((v, i) => v + (given.residual ? (rs[i] as number) : 0));
            // A gate multiplies two results.
            expect(rowErrors(await y.data(), expected, width)).toBeLessThanOrEqual(given.gate === null ? bound : 2 * bound);
            const steps = tf.tidy(() => {
              const rows = norm === null ? x : ops.rmsNorm(x, norm.weight, EPSILON);
              const plain = ops.quantizedMatMul(rows, weight, {bias, activation: 'tanh'});
              const last = given.gate === null ? plain : ops.gatedActivation(plain, given.gate);
              return residual === null ? last : tf.add(residual, last);
            });
            expect(await y.data()).toEqual(await steps.data());
            steps.dispose();
            tf.dispose([x, y, residual] as tf.Tensor[]);
          }
          tf.dispose([bias, norm?.weight] as tf.Tensor[]);
          weight.dispose();
        });
      }
    }

    it('gives the gradients of its steps', async () => {
      const shape = STRUCTURES.float16 as Structure;
      const {layout, words} = buildWeight('float16', shape, 5);
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      const [x, residual, factors] = [
        tf.tensor2d(randomX(2, shape.k, 1), [2, shape.k]),
        tf.tensor2d(randomX(2, shape.n / 2, 2), [2, shape.n / 2]),
        tf.tensor1d(randomX(1, shape.k, 3)),
      ];
      const fused = (...[a, b, c]: tf.Tensor[]) =>
        tf.sum(ops.fusedMatMul(a as tf.Tensor, weight, {norm: {weight: c as tf.Tensor, epsilon: EPSILON}, gate: 'silu', residual: b}));
      const steps = (...[a, b, c]: tf.Tensor[]) =>
        tf.sum(
          tf.add(
            b as tf.Tensor,
            ops.gatedActivation(ops.quantizedMatMul(ops.rmsNorm(a as tf.Tensor, c as tf.Tensor, EPSILON), weight), 'silu'),
          ),
        );
      const [got, expected] = [tf.grads(fused)([x, residual, factors]), tf.grads(steps)([x, residual, factors])];
      for (const [i, t] of got.entries()) expect(rowErrors(await t.data(), await (expected[i] as tf.Tensor).data(), t.size)).toBe(0);
      tf.dispose([x, residual, factors, ...got, ...expected]);
      weight.dispose();
    });

    it('refuses what does not fit', () => {
      const {layout, words} = buildWeight('4 bits', {...(STRUCTURES['4 bits'] as Structure), n: 19}, 5);
      const weight = QuantizedWeight.fromWords(layout, words);
      const [x, y] = [tf.zeros([2, 96]), tf.zeros([1, 19])];
      expect(() => ops.fusedMatMul(x, weight, {gate: 'silu'})).toThrowError(ShapeError, /even number of outputs.*19/);
      expect(() => ops.fusedMatMul(x, weight, {residual: y})).toThrowError(ShapeError, /fusedMatMul: residual.*\[2,19\].*\[1,19\]/);
      expect(() => ops.fusedMatMul(x, weight, {norm: {weight: y, epsilon: 0}})).toThrowError(ShapeError, /fusedMatMul: norm.*\[96\]/);
      expect(() => ops.fusedMatMul(y, weight, {gate: 'silu'})).toThrowError(ShapeError, /fusedMatMul: x/);
      expect(() => ops.fusedMatMul(x, weight, {gate: 'swish' as 'silu'})).toThrowError(ArgumentError, /swish/);
      expect(() => ops.fusedMatMul(x, weight, {gates: 'silu'} as object)).toThrowError(ArgumentError, /gates/);
      tf.dispose([x, y]);
      weight.dispose();
    });
  });
});

/** y as forward does it: 2x, whatever the weight. */
class Twice extends Linear {
  override forward(x: tf.Tensor): tf.Tensor {
    return tf.mul(x, 2);
  }
}

describe('forwardAround', () => {
  const size = 64;
  const dense = {inDim: size, outDim: size};
  const block = {hiddenDim: size, feedForwardLength: size};
  const layers: Readonly<Record<string, () => Promise<Linear | MLP> | Linear | MLP>> = {
    'a dense layer': () => setSeededWeights(new Linear({...dense, hasBias: true})),
    'a layer with an activation of tf.js': () => setSeededWeights(new Linear({...dense, activation: 'softsign'})),
    'a clipped layer': () => setSeededWeights(new Linear({...dense, clipWeight: 0.1})),
    'a forward of its own': () => setSeededWeights(new Twice(dense)),
    'an MLP': () => setSeededWeights(new MLP(block)),
    'an MLP within a limit': () => setSeededWeights(new MLP({...block, swigluLimit: 0.01})),
    'an MLP of layers with a forward of their own': () => setSeededWeights(new MLP({...block, linearCls: Twice})),
    'a packed layer': () => packedLayer('gptq_b4_g64_sym_act_v1_bias'),
    'a packed MLP, gate and up in one record': () => packedMLP({bias: true}),
    'a packed MLP, gate and up apart': () => packedMLP({bias: true, ordered: true}),
  };
  for (const [name, make] of Object.entries(layers)) {
    it(`is residual + forward(norm(x)) of ${name}`, async () => {
      const layer = await make();
      const [width, outDim] = layer instanceof MLP ? [layer.hiddenDim, layer.hiddenDim] : [layer.inDim, layer.outDim];
      const norm = {weight: tf.tensor1d(randomX(1, width, 6)), epsilon: EPSILON};
      const residual = tf.tensor2d(randomX(2, outDim, 8), [2, outDim]);
      const x = tf.tensor2d(randomX(2, width, 7), [2, width]);
      const numTensors = tf.memory().numTensors;
      const y = numbersOf(layer.forwardAround(x, {norm, residual}));
      const expected = numbersOf(tf.tidy(() => tf.add(residual, layer.forward(ops.rmsNorm(x, norm.weight, norm.epsilon)))));
      expect(y).toEqual(expected);
      expect(rowErrors(y, numbersOf(tf.clone(residual)), outDim)).toBeGreaterThan(1e-3);
      expect(numbersOf(layer.forwardAround(x, {}))).toEqual(numbersOf(layer.forward(x)));
      expect(tf.memory().numTensors).toBe(numTensors);
      tf.dispose([x, norm.weight, residual]);
      layer.dispose();
    });
  }
});
