/** StackedLinear: one product for several projections, whose state is one a projection or one for all. */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  DType,
  Linear,
  MissingError,
  ShapeError,
  ShardedLinear,
  ShardingStrategy,
  type StackedLinear as Stacked,
  StackedLinear,
  stackedLinear,
  UnsupportedError,
} from '../../src/index.js';
import {randomX} from '../grid/layouts.js';
import {rowErrors} from '../support/errors.js';

const NAMES = ['q_proj', 'k_proj', 'v_proj'];
const OUT = [4, 2, 2];

function state(inDim: number, biases: boolean): Record<string, tf.Tensor> {
  const dict: Record<string, tf.Tensor> = {};
  NAMES.forEach((name, i) => {
    const n = OUT[i] as number;
    dict[`${name}.weight`] = tf.tensor2d(randomX(n, inDim, i + 1), [n, inDim]);
    if (biases) dict[`${name}.bias`] = tf.tensor1d(randomX(1, n, i + 7));
  });
  return dict;
}

describe('StackedLinear', () => {
  for (const hasBias of [false, true]) {
    it(`gives each projection's output${hasBias ? ', with biases' : ''}`, () => {
      const dict = state(6, hasBias);
      const layer = stackedLinear({inDim: 6, outDims: OUT, names: NAMES, hasBias});
      layer.loadStateDict(dict);
      const x = tf.tensor3d(randomX(6, 6, 9), [2, 3, 6]);
      const y = layer.forward(x);
      const parts = layer.split(y);
      parts.forEach((part, i) => {
        const alone = new Linear({inDim: 6, outDim: OUT[i] as number, hasBias});
        alone.loadStateDict({
          weight: dict[`${NAMES[i]}.weight`] as tf.Tensor,
          ...(hasBias ? {bias: dict[`${NAMES[i]}.bias`] as tf.Tensor} : {}),
        });
        const expected = alone.forward(x);
        expect(part.shape).toEqual(expected.shape);
        expect(rowErrors(part.dataSync(), expected.dataSync(), OUT[i] as number)).toBeLessThanOrEqual(1e-6);
        expected.dispose();
        alone.dispose();
      });
      const own = layer.stateDict();
      expect(Object.keys(own).sort()).toEqual(Object.keys(dict).sort());
      for (const [key, value] of Object.entries(own)) expect(value.dataSync()).toEqual((dict[key] as tf.Tensor).dataSync());
      tf.dispose([dict, x, y, parts, own]);
      layer.dispose();
    });
  }

  it('has one weight where it is stacked, under its name', () => {
    const layer = new StackedLinear({inDim: 3, outDims: OUT, names: NAMES, stacked: true, name: 'qkv'});
    const own = layer.stateDict();
    expect(Object.entries(own).map(([key, t]) => [key, t.shape])).toEqual([['qkv.weight', [8, 3]]]);
    layer.loadStateDict(own);
    tf.dispose(own);
    layer.dispose();
  });

  it('holds 16-bit and packed projections, by numbers, blocks and words', () => {
    const dict = state(64, false);
    const half = new StackedLinear({inDim: 64, outDims: OUT, names: NAMES, dtype: DType.bfloat16});
    half.loadStateDict(dict);
    const words = half.stateDict();
    expect(Object.values(words).map((t) => [t.dtype, t.size])).toEqual(OUT.map((n) => ['int32', n * 32]));
    const again = new StackedLinear({inDim: 64, outDims: OUT, names: NAMES, dtype: DType.bfloat16});
    again.loadStateDict(words);
    const [a, b] = [half.weight.dequantize(), again.weight.dequantize()];
    expect(b.dataSync()).toEqual(a.dataSync());
    const packed = new StackedLinear({inDim: 64, outDims: OUT, names: NAMES, quantizationEncoding: 'Q8_0'});
    const blocks = Object.fromEntries(
      NAMES.map((name, i) => {
        const n = OUT[i] as number;
        return [
          `${name}.weight`,
          tf.tensor2d(
            Array.from({length: n * 68}, (_, at) => (at * 31 + i) % 60),
            [n, 68],
            'int32',
          ),
        ];
      }),
    );
    packed.loadStateDict(blocks);
    const own = packed.stateDict();
    const copy = new StackedLinear({inDim: 64, outDims: OUT, names: NAMES, quantizationEncoding: 'Q8_0'});
    copy.loadStateDict(own);
    const [c, d] = [packed.weight.dequantize(), copy.weight.dequantize()];
    expect(d.dataSync()).toEqual(c.dataSync());
    NAMES.forEach((name, i) => {
      const alone = new Linear({inDim: 64, outDim: OUT[i] as number, quantizationEncoding: 'Q8_0'});
      alone.loadStateDict({weight: blocks[`${name}.weight`] as tf.Tensor});
      const values = alone.weight.dequantize();
      const begin = OUT.slice(0, i).reduce((s, n) => s + n, 0) * 64;
      expect(values.dataSync()).toEqual(c.dataSync().slice(begin, begin + values.size) as Float32Array);
      values.dispose();
      alone.dispose();
    });
    expect(() => copy.loadStateDict({...own, 'q_proj.weight': own['k_proj.weight'] as tf.Tensor})).toThrowError(ShapeError);
    tf.dispose([dict, words, a, b, blocks, own, c, d]);
    for (const l of [half, again, packed, copy]) l.dispose();
  });

  it("refuses projections that were mistaken for each other, though their rows add up to the layer's", () => {
    const layer = new StackedLinear({inDim: 4, outDims: [4, 2], names: ['q', 'k']});
    const before = layer.weight.dequantize();
    const ones = (rows: number, columns = 4) => tf.ones([rows, columns]);
    for (const [q, k, named] of [
      [ones(2), ones(4), /q\.weight: expected \[4,4\]. Received: \[2,4\]/],
      [ones(3), ones(3), /q\.weight/],
      [ones(4), ones(2, 5), /k\.weight: expected \[2,4\]/],
      [ones(4), tf.ones([8]), /k\.weight/],
    ] as const) {
      expect(() => layer.loadStateDict({'q.weight': q, 'k.weight': k})).toThrowError(ShapeError, named);
      tf.dispose([q, k]);
    }
    const after = layer.weight.dequantize();
    expect(after.dataSync()).toEqual(before.dataSync());
    const float8Config = {
      inputScale: {granularity: 'tensor' as const, origin: 'dynamic' as const},
      weightScale: {granularity: 'block' as const, blockSize: [2, 4] as const},
    };
    const blocks = new StackedLinear({inDim: 4, outDims: [4, 2], names: ['q', 'k'], float8Config});
    const weights = {'q.weight': ones(4), 'k.weight': ones(2)};
    const [two, one] = [ones(2, 1), ones(1, 1)];
    blocks.loadStateDict({...weights, 'q.weight_scale': two, 'k.weight_scale': one});
    const swapped = {...weights, 'q.weight_scale': one, 'k.weight_scale': two};
    expect(() => blocks.loadStateDict(swapped)).toThrowError(ShapeError, /q\.weight_scale: expected \[2,1\]. Received: \[1,1\]/);
    tf.dispose([before, after, weights, two, one]);
    layer.dispose();
    blocks.dispose();
  });

  it('takes scales of rows and of whole tensors from each: the product is that of the projections', () => {
    const float8 = (granularity: 'rowwise' | 'tensor' | 'colwise') => ({
      inputScale: {granularity: 'tensor' as const, origin: 'dynamic' as const},
      weightScale: {granularity},
    });
    const codes = Object.fromEntries(NAMES.map((name, i) => [`${name}.weight`, tf.fill([OUT[i] as number, 4], 8 + i, 'int32')]));
    const layer = new StackedLinear({inDim: 4, outDims: OUT, names: NAMES, float8Config: float8('rowwise')});
    const scales = Object.fromEntries(NAMES.map((name, i) => [`${name}.weight_scale`, tf.fill([OUT[i] as number, 1], i + 1)]));
    layer.loadStateDict({...codes, ...scales});
    const scale = layer.weightScale as tf.Tensor;
    expect(Array.from(scale.dataSync())).toEqual([1, 1, 1, 1, 2, 2, 3, 3]);
    const whole = new StackedLinear({inDim: 4, outDims: OUT, names: NAMES, float8Config: float8('tensor')});
    const numbers = Object.fromEntries(NAMES.map((name, i) => [`${name}.weight_scale`, tf.scalar(i + 0.5)]));
    whole.loadStateDict({...codes, ...numbers});
    const x = tf.tensor2d(randomX(3, 4), [3, 4]);
    const parts = NAMES.map((name, i) => {
      const alone = new Linear({inDim: 4, outDim: OUT[i] as number, float8Config: float8('tensor')});
      alone.loadStateDict({weight: codes[`${name}.weight`] as tf.Tensor, weight_scale: numbers[`${name}.weight_scale`] as tf.Tensor});
      const y = alone.forward(x);
      alone.dispose();
      return y;
    });
    const [y, expected] = [whole.forward(x), tf.concat(parts, 1)];
    expect(rowErrors(y.dataSync(), expected.dataSync(), 8)).toBeLessThanOrEqual(1e-6);
    const again = StackedLinear.fromConfig(StackedLinear as never, whole.getConfig()) as unknown as StackedLinear;
    again.loadStateDict({...codes, ...numbers});
    const z = again.forward(x);
    expect(z.dataSync()).toEqual(y.dataSync());
    again.dispose();
    const short = {...numbers, 'k_proj.weight_scale': tf.ones([3])};
    expect(() => whole.loadStateDict({...codes, ...short})).toThrowError(ShapeError, /k_proj/);
    // Scales of columns go through all projections.
    const columns = new StackedLinear({inDim: 4, outDims: OUT, names: NAMES, float8Config: float8('colwise')});
    const same = Object.fromEntries(NAMES.map((name) => [`${name}.weight_scale`, tf.ones([1, 4])]));
    columns.loadStateDict({...codes, ...same});
    const different = {...same, 'k_proj.weight_scale': tf.fill([1, 4], 3)};
    expect(() => columns.loadStateDict({...codes, ...different})).toThrowMatching(
      (e) => e instanceof UnsupportedError && /k_proj 3/.test(e.message),
    );
    columns.dispose();
    tf.dispose([x, parts, y, expected, z, numbers, short]);
    tf.dispose([codes, scales, scale, same, different]);
    layer.dispose();
    whole.dispose();
  });

  it('is spread by whole heads', async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
    const layer = new StackedLinear({inDim: 6, outDims: [4, 4, 4], names: NAMES, hasBias: true});
    const x = tf.tensor2d(randomX(2, 6), [2, 6]);
    const expected = layer.forward(x);
    layer.setSharding(ShardingStrategy.stackedQkv(2, 2, 2));
    const shards = layer.shard(['cpu', 'wasm']);
    expect(shards.map((shard) => [shard.constructor, shard.outDim])).toEqual([
      [Linear, 6],
      [Linear, 6],
    ]);
    const spread = ShardedLinear.of(layer, {devices: ['cpu', 'wasm'], strategy: ShardingStrategy.stackedQkv(2, 2, 2)});
    const y = spread.forward(x);
    expect(rowErrors(y.dataSync(), expected.dataSync(), 12)).toBeLessThanOrEqual(1e-6);
    tf.dispose([x, y, expected]);
    for (const l of [...shards, spread, layer]) l.dispose();
  });

  it('comes back from its config', () => {
    const layer = new StackedLinear({inDim: 3, outDims: OUT, names: NAMES});
    const back = StackedLinear.fromConfig(StackedLinear as never, layer.getConfig()) as unknown as Stacked;
    expect([back.outDims, back.names, back.stacked, back.outDim]).toEqual([OUT, NAMES, false, 8]);
    layer.dispose();
    back.dispose();
  });

  it('refuses names and rows that do not match, and states that lack some', () => {
    for (const bad of [
      {outDims: [1, 2], names: ['a']},
      {outDims: [], names: []},
      {outDims: [1, 1], names: ['a', 'a']},
      {outDims: [0], names: ['a']},
    ]) {
      expect(() => new StackedLinear({inDim: 2, ...bad})).toThrowError(ArgumentError);
    }
    const layer = new StackedLinear({inDim: 2, outDims: [1, 1], names: ['a', 'b']});
    const weight = tf.ones([1, 2]);
    expect(() => layer.loadStateDict({'a.weight': weight})).toThrowError(MissingError);
    weight.dispose();
    layer.dispose();
  });
});
