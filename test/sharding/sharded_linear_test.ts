/** A layer spread over devices gives what it gave on one: every strategy, formats as real tools wrote them, 2 to 4 devices of both kinds. */
import * as tf from '@tensorflow/tfjs';
import {
  DType,
  Float8Config,
  Float8InputScaleSpec,
  Float8ScaleGranularity,
  Float8ScaleOrigin,
  Float8WeightScaleSpec,
  Linear,
  memory,
  type QuantizedWeight,
  ShapeError,
  ShardedLinear,
  ShardingStrategy,
  UnsupportedError,
} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {randomX} from '../grid/layouts.js';
import {firstDifference} from '../io/bytes_support.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {numbersOf, plusZero, startHostBackends} from '../support/numbers.js';
import {FORMATS, MIXES, strategies} from './product.js';

beforeAll(startHostBackends);

describe('ShardedLinear', () => {
  for (const name of FORMATS) {
    it(`${name} as on one device`, async () => {
      const c = caseNamed(name);
      const reference = await filesOf(c);
      const {layer} = await openLinear(c, reference.files);
      const rows = reference.x.length / c.inDim;
      const x = tf.tensor2d(reference.x, [rows, c.inDim]);
      const expected = numbersOf(layer.forward(x));
      const whole = layer.weight.dequantize();
      const values = plusZero(whole);
      for (const devices of MIXES) {
        for (const strategy of strategies(devices.length, [c.outDim, c.inDim])) {
          const label = `${JSON.stringify(strategy)} over ${devices}`;
          const spread = ShardedLinear.of(layer, {devices, strategy});
          const y = spread.forward(x);
          // Shards on wasm round x to 16-bit integers where groups allow it.
          expect(rowErrors(y.dataSync(), expected, c.outDim))
            .withContext(label)
            .toBeLessThanOrEqual(1e-4);
          const back = spread.weight.dequantize();
          expect(firstDifference(plusZero(back), values))
            .withContext(label)
            .toBe(-1);
          tf.dispose([y, back]);
          spread.dispose();
        }
      }
      tf.dispose([x, whole]);
      layer.dispose();
    });
  }

  it('is exact with float32 inputs, within 1e-6', async () => {
    for (const name of ['gptq_b4_g32_asym_v1_bias', 'gptq_b4_g64_asym_act_v2', 'deepseek_fp8_block128_96x100', 'gguf_q4_k']) {
      const c = caseNamed(name);
      const reference = await filesOf(c);
      const {layer} = await openLinear(c, reference.files);
      const exact = new Linear({
        inDim: c.inDim,
        outDim: c.outDim,
        layout: (layer.weight as QuantizedWeight).layout,
        hasBias: c.bias,
        inputPrecision: 'float32',
      });
      exact.loadStateDict(strip(layer));
      const x = tf.tensor2d(randomX(3, c.inDim), [3, c.inDim]);
      const expected = numbersOf(exact.forward(x));
      for (const strategy of strategies(3, [c.outDim, c.inDim])) {
        const spread = ShardedLinear.of(exact, {devices: ['cpu', 'wasm', 'wasm'], strategy});
        const y = spread.forward(x);
        expect(rowErrors(y.dataSync(), expected, c.outDim))
          .withContext(`${name} ${JSON.stringify(strategy)}`)
          .toBeLessThanOrEqual(1e-6);
        y.dispose();
        spread.dispose();
      }
      x.dispose();
      layer.dispose();
      exact.dispose();
    }
  });

  it('holds each share once: bytes per device add up to the whole and its scales', async () => {
    for (const name of ['gptq_b4_g32_asym_v1_bias', 'gptq_b4_g64_asym_act_v2', 'gguf_q4_k', 'ct_fp8_block128', 'awq_gemm_g32_bias']) {
      const c = caseNamed(name);
      const {layer} = await openLinear(c, (await filesOf(c)).files);
      const {layout} = layer.weight as QuantizedWeight;
      for (const [strategy, replicated] of [
        [ShardingStrategy.rowwise(3), layout.ordered ? 3 * 4 * c.inDim : 0],
        // Groups cut by a shard's edge are on both sides; with a column order, all groups are on every device.
        [ShardingStrategy.axiswise(1, 2, {unit: 128}), layout.ordered ? layer.byteLength : 0],
      ] as const) {
        const before = memory().codesBytes;
        const spread = ShardedLinear.of(layer, {
          devices: Array.from({length: strategy.numDevices}, (_, i) => (i % 2 === 0 ? 'cpu' : 'wasm')),
          strategy,
        });
        const held = spread.places.map((place) => place.byteLength);
        const sum = held.reduce((a, b) => a + b, 0);
        expect(sum)
          .withContext(`${name} ${strategy.kind} ${held} of ${layer.byteLength}`)
          .toBeLessThanOrEqual(1.02 * layer.byteLength + replicated + 64 * held.length);
        expect(spread.byteLength).toBe(sum);
        // memory() counts the words of the shards, and nothing else is held.
        const biases = spread.places.reduce(
          (bytes, _, i) => bytes + ((spread.spread.shards[i]?.byteLength ?? 0) - (spread.spread.shards[i]?.weightBytes ?? 0)),
          0,
        );
        expect(memory().codesBytes - before).toBe(sum - biases);
        spread.dispose();
        expect(memory().codesBytes).toBe(before);
      }
      layer.dispose();
    }
  });

  it('runs anywhere, and gives its result at home', async () => {
    const layer = new Linear({inDim: 6, outDim: 5, hasBias: true});
    const x = tf.tensor2d(randomX(2, 6), [2, 6]);
    const expected = numbersOf(layer.forward(x));
    const spread = ShardedLinear.of(layer, {devices: ['wasm', 'cpu'], home: 'wasm'});
    const there = spread.forward(x);
    const awaited = await spread.forwardAsync(x);
    const each = spread.forwardEach(x);
    const eachAwaited = await spread.forwardEachAsync([x, x]);
    for (const y of [there, awaited, ...each, ...eachAwaited]) expect(rowErrors(y.dataSync(), expected, 5)).toBeLessThanOrEqual(1e-6);
    expect(each.map((y) => y.shape)).toEqual([
      [2, 5],
      [2, 5],
    ]);
    tf.dispose([x, there, awaited, each, eachAwaited]);
    layer.dispose();
    spread.dispose();
  });

  it('takes any rank, no rows, and more devices than rows or columns', () => {
    const layer = new Linear({inDim: 2, outDim: 3, hasBias: true});
    for (const strategy of [ShardingStrategy.rowwise(4), ShardingStrategy.columnwise(4)]) {
      const spread = ShardedLinear.of(layer, {devices: ['cpu', 'wasm', 'cpu', 'wasm'], strategy});
      for (const shape of [[2], [1, 2], [2, 3, 2], [2, 1, 2, 2], [0, 2]]) {
        tf.tidy(() => {
          const x = tf.randomUniform(shape, -1, 1);
          const y = spread.forward(x);
          expect(y.shape).toEqual([...shape.slice(0, -1), 3]);
          expect(rowErrors(y.dataSync(), layer.forward(x).dataSync(), 3)).toBeLessThanOrEqual(1e-6);
        });
      }
      const wrong = tf.ones([2, 3]);
      expect(() => spread.forward(wrong)).toThrowError(ShapeError);
      wrong.dispose();
      spread.dispose();
    }
    layer.dispose();
  });

  it('rounds x as the whole layer does, by a static scale too', () => {
    const fp8 = new Float8Config({
      inputScale: new Float8InputScaleSpec({
        granularity: Float8ScaleGranularity.TENSOR,
        origin: Float8ScaleOrigin.STATIC,
        dtype: DType.float32,
      }),
      weightScale: new Float8WeightScaleSpec({granularity: Float8ScaleGranularity.ROWWISE, dtype: DType.float32}),
      mlpInFloat8: [],
      attnQkvInFloat8: [],
    });
    const layer = new Linear({inDim: 12, outDim: 5, float8Config: fp8});
    const dict = {
      weight: tf.tensor2d(
        Array.from({length: 60}, (_, i) => (i * 37) % 119),
        [5, 12],
        'int32',
      ),
      weight_scale: tf.tensor2d([0.5, 0.25, 1, 0.125, 0.75], [5, 1]),
      input_scale: tf.scalar(0.01),
    };
    layer.loadStateDict(dict);
    const x = tf.tensor2d(randomX(3, 12), [3, 12]);
    const expected = layer.forward(x);
    for (const strategy of [ShardingStrategy.rowwise(2), ShardingStrategy.columnwise(2)]) {
      const spread = ShardedLinear.of(layer, {devices: ['cpu', 'wasm'], strategy});
      const y = spread.forward(x);
      expect(rowErrors(y.dataSync(), expected.dataSync(), 5)).toBeLessThanOrEqual(1e-6);
      const scale = spread.weightScale as tf.Tensor;
      expect(Array.from(scale.dataSync())).toEqual([0.5, 0.25, 1, 0.125, 0.75]);
      expect(spread.inputScale?.dataSync()[0]).toBeCloseTo(0.01, 7);
      const own = spread.stateDict();
      expect(Object.keys(own)).toEqual(['weight', 'input_scale']);
      tf.dispose([y, scale, own]);
      // Shards as layers of their own have the scalar each.
      layer.setSharding(strategy);
      const shards = layer.shard(['cpu', 'wasm']);
      expect(shards.map((shard) => shard.inputScale?.dataSync()[0])).toEqual([Math.fround(0.01), Math.fround(0.01)]);
      for (const shard of shards) shard.dispose();
      spread.dispose();
    }
    tf.dispose([x, expected, dict]);
    layer.dispose();
  });

  it('applies an activation that kernels fuse once, after the sum', () => {
    const x = tf.tensor2d(randomX(4, 6), [4, 6]);
    for (const activation of ['relu', 'tanh', 'sigmoid', 'swish']) {
      const layer = new Linear({inDim: 6, outDim: 7, hasBias: true, activation});
      const expected = layer.forward(x);
      for (const strategy of [ShardingStrategy.rowwise(3), ShardingStrategy.columnwise(3), ShardingStrategy.replicate(3)]) {
        const spread = ShardedLinear.of(layer, {devices: ['cpu', 'wasm', 'cpu'], strategy});
        const y = spread.forward(x);
        expect(rowErrors(y.dataSync(), expected.dataSync(), 7))
          .withContext(`${activation}, ${strategy.kind}`)
          .toBeLessThanOrEqual(2e-6);
        y.dispose();
        spread.dispose();
      }
      expected.dispose();
      layer.dispose();
    }
    x.dispose();
  });

  it('adds the parts in the order of the devices', () => {
    // Rounded to float32, 1 + 1e8 - 1e8 is 0 from the left and 1 from the right.
    const spread = new ShardedLinear({inDim: 3, outDim: 1, devices: ['cpu', 'wasm', 'cpu'], strategy: ShardingStrategy.columnwise(3)});
    const state = {weight: tf.tensor2d([1, 1e8, -1e8], [1, 3])};
    spread.loadStateDict(state);
    const x = tf.ones([1, 3]);
    const y = spread.forward(x);
    expect(numbersOf(y)).toEqual(Float32Array.of(0));
    tf.dispose([state, x, y]);
    spread.dispose();
  });

  it('has the bias on a first shard that has no columns', () => {
    const layer = new Linear({inDim: 6, outDim: 5, hasBias: true, dtype: 'bfloat16'});
    const state = {weight: tf.tensor2d(randomX(5, 6), [5, 6]), bias: tf.tensor1d([1, 2, 3, 4, 5])};
    layer.loadStateDict(state);
    const x = tf.tensor2d(randomX(2, 6), [2, 6]);
    const expected = layer.forward(x);
    const spread = ShardedLinear.of(layer, {devices: ['wasm', 'cpu'], strategy: ShardingStrategy.columnwise(2).withShares([0, 1])});
    expect(spread.places[0]?.columns).toEqual([[0, 0]]);
    const y = spread.forward(x);
    expect(rowErrors(y.dataSync(), expected.dataSync(), 5)).toBeLessThanOrEqual(1e-6);
    tf.dispose([state, x, y, expected]);
    for (const each of [layer, spread]) each.dispose();
  });

  it('asks the replica at home alone', () => {
    const spread = new ShardedLinear({
      inDim: 2,
      outDim: 2,
      devices: ['cpu', 'wasm'],
      strategy: ShardingStrategy.replicate(2),
      home: 'wasm',
    });
    const runs = [0, 1].map((i) => spyOn(spread.spread.deviceAt(i), 'run').and.callThrough());
    const x = tf.ones([1, 2]);
    tf.dispose([spread.forward(x), x]);
    expect(runs.map((run) => run.calls.count())).toEqual([0, 1]);
    spread.dispose();
  });

  it('applies its activation to the whole y', () => {
    const layer = new Linear({inDim: 6, outDim: 7, hasBias: true, activation: 'softmax'});
    const x = tf.tensor2d(randomX(2, 6), [2, 6]);
    const expected = layer.forward(x);
    for (const strategy of [ShardingStrategy.rowwise(3), ShardingStrategy.columnwise(3), ShardingStrategy.replicate(3)]) {
      const spread = ShardedLinear.of(layer, {devices: ['cpu', 'wasm', 'cpu'], strategy});
      const y = spread.forward(x);
      expect(rowErrors(y.dataSync(), expected.dataSync(), 7)).toBeLessThanOrEqual(1e-6);
      y.dispose();
      spread.dispose();
    }
    layer.setSharding(ShardingStrategy.rowwise(2));
    expect(() => layer.shard(['cpu', 'cpu'])).toThrowMatching((e) => e instanceof UnsupportedError && /softmax/.test(e.message));
    tf.dispose([x, expected]);
    layer.dispose();
  });

  it('clips, with the clip of the whole', () => {
    const layer = new Linear({inDim: 6, outDim: 4, clipWeight: 0.25});
    const dict = {weight: tf.tensor2d(randomX(4, 6, 5), [4, 6])};
    layer.loadStateDict(dict);
    const x = tf.tensor2d(randomX(2, 6), [2, 6]);
    const expected = layer.forward(x);
    const spread = ShardedLinear.of(layer, {devices: ['cpu', 'wasm'], strategy: ShardingStrategy.columnwise(2)});
    const y = spread.forward(x);
    expect(rowErrors(y.dataSync(), expected.dataSync(), 4)).toBeLessThanOrEqual(1e-6);
    tf.dispose([x, y, expected, dict]);
    layer.dispose();
    spread.dispose();
  });
});

/** A layer's state as new tensors that a test's end frees: the caller loads it at once. */
function strip(layer: Linear): Record<string, tf.Tensor> {
  const dict = layer.stateDict();
  const values = Object.fromEntries(Object.entries(dict).map(([key, value]) => [key.slice(layer.keyPrefix.length), value]));
  kept.push(...Object.values(values));
  return values;
}

const kept: tf.Tensor[] = [];

afterEach(() => {
  tf.dispose(kept.splice(0));
});
