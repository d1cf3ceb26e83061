/**
 * Tensors of other types than float32 where numbers are asked for: integers and booleans count as the numbers they are, on every backend; text and
 * complex numbers are refused. tf.js's cpu keeps the memory of integers that are cast to float32, and kernels read memory.
 */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  ColumnParallelLinear,
  Linear,
  LinearV1,
  ops,
  type QuantizedWeight,
  ShardedLinear,
  ShardingStrategy,
} from '../../src/index.js';
import {BACKENDS_AND_WEBGPU, onEachBackend} from '../support/backends.js';

/** Calls that TypeScript would not let through. */
const any = (value: unknown) => value as never;

const ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
const SUMS = [10, 26, 42];

function packed(): {layer: Linear; weight: QuantizedWeight} {
  const layer = new Linear({inDim: 4, outDim: 3, dtype: 'bfloat16'});
  tf.tidy(() => layer.loadStateDict({weight: tf.tensor2d(ROWS, [3, 4])}));
  return {layer, weight: layer.weight as QuantizedWeight};
}

const read = async (make: () => tf.Tensor): Promise<number[]> => {
  const y = tf.tidy(make);
  const values = Array.from(await y.data());
  y.dispose();
  return values;
};

describe('integers and booleans in ops', () => {
  onEachBackend(() => {
    for (const dtype of ['int32', 'bool'] as const) {
      it(`${dtype}: x, bias and scale of an op`, async () => {
        const {layer, weight} = packed();
        const x = tf.tensor2d([1, 0, 1, 1], [1, 4], dtype);
        const bias = tf.tensor1d([1, 0, 1], dtype);
        const scale = tf.tensor1d([1], dtype);
        const expected = [9, 20, 33];
        expect(await read(() => ops.quantizedMatMul(x, weight, {bias}))).toEqual(expected);
        const scheme = {inputOrigin: 'static', inputGranularity: 'tensor', inputScale: scale, bias} as const;
        expect(await read(() => ops.fp8ScaledMatMul(x, weight, scheme))).toEqual(expected);
        const rounding = {dtype: 'float8_e4m3fn', origin: 'static', granularity: 'tensor', scale} as const;
        expect(await read(() => ops.fp8Quantize(x, rounding).codes)).toEqual([56, 0, 56, 56]);
        expect(await read(() => ops.gatedActivation(x, 'relu'))).toEqual([1, 0]);
        const [a, b, c, d] = (await read(() => ops.rmsNorm(x, tf.tensor1d([1, 1, 0, 1], dtype), 0))) as [number, number, number, number];
        expect([b, c]).toEqual([0, 0]);
        for (const value of [a, d]) expect(value).toBeCloseTo(Math.sqrt(4 / 3), 6);
        tf.dispose([x, bias, scale]);
        layer.dispose();
      });
    }
    it('x that tf.js has cast, and a bias', async () => {
      const {layer, weight} = packed();
      const x = tf.tidy(() => tf.cast(tf.tensor2d([1, 0, 1, 1], [1, 4], 'int32'), 'float32'));
      const bias = tf.tidy(() => tf.cast(tf.tensor1d([1, 0, 1], 'bool'), 'float32'));
      expect(await read(() => ops.quantizedMatMul(x, weight, {bias}))).toEqual([9, 20, 33]);
      expect(await read(() => ops.fp8Quantize(x, {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'tensor'}).codes)).toEqual([
        126, 0, 126, 126,
      ]);
      expect(await read(() => ops.gatedActivation(x, 'relu'))).toEqual([1, 0]);
      tf.dispose([x, bias]);
      layer.dispose();
    });
  }, BACKENDS_AND_WEBGPU);
});

describe('integers and booleans in layers', () => {
  onEachBackend((backend) => {
    const strategies = [ShardingStrategy.rowwise(2), ShardingStrategy.columnwise(2), ShardingStrategy.replicate(2)];
    const devices = [backend, backend];
    const [weight, bias] = [() => tf.tensor2d(ROWS, [3, 4], 'int32'), () => tf.tensor1d([1, 0, 1], 'int32')];
    const expected = SUMS.map((sum, i) => sum + [1, 0, 1][i]!);
    const ones = (layer: Linear) => read(() => layer.forward(tf.ones([1, 4])));

    for (const strategy of strategies) {
      it(`int32 state of a layer over ${strategy.kind} shards, and of one that is spread afterwards`, async () => {
        const spread = new ShardedLinear({inDim: 4, outDim: 3, hasBias: true, devices, strategy});
        tf.tidy(() => spread.loadStateDict({weight: weight(), bias: bias()}));
        expect(await ones(spread)).toEqual(expected);
        // As tf.js's own setWeights gives them: named float32, in the memory of integers.
        const layer = new Linear({inDim: 4, outDim: 3, hasBias: true});
        tf.tidy(() => layer.setWeights([tf.cast(weight(), 'float32'), tf.cast(bias(), 'float32')]));
        const later = ShardedLinear.of(layer, {devices, strategy});
        expect(await ones(later)).toEqual(expected);
        for (const each of [spread, later, layer]) each.dispose();
      });
    }

    it('int32 state of a dense layer, saved', async () => {
      const layer = new Linear({inDim: 4, outDim: 3, hasBias: true});
      tf.tidy(() => layer.loadStateDict({weight: weight(), bias: bias()}));
      let saved: tf.io.ModelArtifacts | undefined;
      await layer.save(
        tf.io.withSaveHandler(async (artifacts) => {
          saved = artifacts;
          return {modelArtifactsInfo: {dateSaved: new Date(0), modelTopologyType: 'JSON'}};
        }),
      );
      const back = (await tf.loadLayersModel(tf.io.fromMemory(saved as tf.io.ModelArtifacts))) as Linear;
      expect(await ones(back)).toEqual(expected);
      for (const each of [layer, back]) each.dispose();
    });

    it('int32 weight and bias of LinearV1, and of a head tied to integers', async () => {
      const [w, b] = [weight(), bias()];
      const layer = new LinearV1({weight: w, bias: b});
      expect(await ones(layer)).toEqual(expected);
      const head = new ColumnParallelLinear({inDim: 4, outDim: 3, hasBias: true, devices: [backend, 'cpu'], tiedWeight: layer});
      head.loadStateDict({bias: b});
      expect(await ones(head)).toEqual(expected);
      tf.dispose([w, b]);
      for (const each of [head, layer]) each.dispose();
    });
  });
});

describe('what is no number', () => {
  it('is refused by name, and leaves no tensor', () => {
    const {layer, weight} = packed();
    const dense = new Linear({inDim: 4, outDim: 3, hasBias: true});
    const text = tf.tensor1d(['a', 'b', 'c', 'd']);
    const complex = tf.complex([1, 2, 3, 4], [0, 0, 0, 0]);
    const before = tf.memory().numTensors;
    const dynamic = {inputOrigin: 'dynamic', inputGranularity: 'tensor'} as const;
    const fixed = {inputOrigin: 'static', inputGranularity: 'tensor'} as const;
    for (const x of [text, complex]) {
      const calls = [
        () => layer.forward(x),
        () => layer.apply(x),
        () => dense.forward(x),
        () => ops.quantizedMatMul(x, weight),
        () => ops.fp8ScaledMatMul(x, weight, dynamic),
        () => ops.fp8Quantize(x, {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'tensor'}),
        () => ops.gatedActivation(x, 'relu'),
        () => ops.rmsNorm(x, x, 0),
      ];
      for (const call of calls) {
        expect(call).toThrowMatching((e) => e instanceof ArgumentError && new RegExp(`real numbers. Received: ${x.dtype}`).test(e.message));
      }
    }
    for (const inputScale of [[1], 'x', text]) {
      expect(() => tf.tidy(() => ops.fp8ScaledMatMul(tf.ones([1, 4]), weight, {...fixed, inputScale: any(inputScale)}))).toThrowError(
        ArgumentError,
        /inputQuantization: scale.*real numbers/,
      );
    }
    expect(() => tf.tidy(() => ops.quantizedMatMul(tf.ones([1, 4]), weight, {bias: any([1, 2, 3])}))).toThrowError(ArgumentError, /bias/);
    const none = any({...dynamic, dtype: 'toString'});
    expect(() => tf.tidy(() => ops.fp8ScaledMatMul(tf.zeros([0, 4]), weight, none))).toThrowError(ArgumentError, /dtype/);
    expect(() => tf.tidy(() => ops.gatedActivation(tf.ones([4]), any('swish')))).toThrowError(ArgumentError, /activation/);
    tf.tidy(() => {
      const values = {weight: tf.tensor2d(ROWS.map(String), [3, 4]), bias: tf.zeros([3])};
      expect(() => dense.loadStateDict(values)).toThrowError(ArgumentError, /weight: expected a tensor of real numbers/);
    });
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([text, complex]);
    for (const each of [layer, dense]) each.dispose();
  });
});
