/** Arguments and properties of the layers: each spec is named after its row in the table of `npm run surface`. */
import * as tf from '@tensorflow/tfjs';
import {
  DeviceRef,
  DType,
  GPTQLinear,
  gptqLinear,
  Linear,
  linear,
  MLP,
  mlp,
  QuantizationConfig,
  type QuantizedWeight,
  type ShardedLinear,
  ShardingStrategy,
  Weight,
} from '../../src/index.js';
import {take} from '../layers/layers_support.js';

const float8 = (origin: 'static' | 'dynamic') => ({
  inputScale: {granularity: 'tensor' as const, origin},
  weightScale: {granularity: 'tensor' as const},
});

/** y of ones for a layer that is disposed. */
async function yOf(layer: Linear | MLP, width: number): Promise<number[]> {
  const x = tf.ones([1, width]);
  const y = await take(layer.forward(x));
  x.dispose();
  layer.dispose();
  return y;
}

function withState<L extends Linear | MLP>(layer: L, state: Record<string, tf.Tensor>): L {
  layer.loadStateDict(state);
  tf.dispose(state);
  return layer;
}

describe('surface: Linear', () => {
  it('linear', () => {
    const layer = linear({inDim: 3, outDim: 2});
    expect(layer).toBeInstanceOf(Linear);
    layer.dispose();
  });
  it('Linear: inDim', () => {
    const layer = new Linear({inDim: 3, outDim: 2});
    expect([layer.inDim, layer.weight.shape]).toEqual([3, [2, 3]]);
    layer.dispose();
  });
  it('Linear: outDim', async () => {
    const layer = new Linear({inDim: 3, outDim: 2});
    expect([layer.outDim, (await yOf(layer, 3)).length]).toEqual([2, 2]);
  });
  it('Linear: dtype', () => {
    const layer = new Linear({inDim: 3, outDim: 2, dtype: DType.bfloat16});
    expect([layer.weightDType, layer.weight.byteLength]).toEqual(['bfloat16', 16]);
    layer.dispose();
  });
  it('Linear: device', async () => {
    for (const device of [new DeviceRef('cpu'), 'cpu']) {
      const layer = new Linear({inDim: 2, outDim: 1, device});
      expect(layer.device?.backendName).toBe('cpu');
      expect((await yOf(layer, 2)).length).toBe(1);
    }
    const anywhere = new Linear({inDim: 2, outDim: 1});
    expect(anywhere.device).toBeNull();
    anywhere.dispose();
    expect(() => new Linear({inDim: 2, outDim: 1, device: 'nowhere'})).toThrowError(/device 'nowhere': expected a registered backend/);
  });
  it('Linear: hasBias', async () => {
    const layer = new Linear({inDim: 2, outDim: 2, hasBias: true});
    const state = {weight: tf.zeros([2, 2]), bias: tf.tensor1d([5, 6])};
    expect(await yOf(withState(layer, state), 2)).toEqual([5, 6]);
    const without = new Linear({inDim: 2, outDim: 2});
    expect([without.hasBias, without.bias]).toEqual([false, null]);
    without.dispose();
  });
  it('Linear: quantizationEncoding', () => {
    const layer = new Linear({inDim: 64, outDim: 2, quantizationEncoding: 'Q4_0'});
    // 18 bytes a block of 32.
    expect(layer.weight.byteLength).toBe(2 * 2 * 18);
    layer.dispose();
  });
  it('Linear: float8Config', () => {
    const layer = new Linear({inDim: 4, outDim: 2, float8Config: float8('dynamic')});
    expect([layer.weightDType, layer.float8Config?.isDynamic, layer.inputQuantization?.dtype]).toEqual([
      'float8_e4m3fn',
      true,
      'float8_e4m3fn',
    ]);
    layer.dispose();
  });
  it('Linear: name', () => {
    const layer = new Linear({inDim: 2, outDim: 2, name: 'up_proj'});
    const state = layer.stateDict();
    expect([layer.name, Object.keys(state)]).toEqual(['up_proj', ['up_proj.weight']]);
    tf.dispose(state);
    layer.dispose();
  });
  it('Linear: clipWeight', async () => {
    for (const [clipWeight, y] of [
      [0.5, 1],
      [0, 20],
      [null, 20],
    ] as const) {
      const layer = new Linear({inDim: 2, outDim: 1, clipWeight});
      expect(await yOf(withState(layer, {weight: tf.fill([1, 2], 10)}), 2)).toEqual([y]);
    }
    expect(() => new Linear({inDim: 2, outDim: 1, clipWeight: -1})).toThrowError(/clipWeight: expected a number of at least 0/);
  });
  it('Linear: weight', () => {
    const layer = withState(new Linear({inDim: 2, outDim: 1}), {weight: tf.tensor2d([[3, 4]])});
    const values = layer.weight.dequantize();
    expect([values.shape, Array.from(values.dataSync())]).toEqual([
      [1, 2],
      [3, 4],
    ]);
    values.dispose();
    layer.dispose();
  });
  it('Linear: bias', () => {
    const layer = withState(new Linear({inDim: 2, outDim: 1, hasBias: true}), {weight: tf.ones([1, 2]), bias: tf.tensor1d([7])});
    expect(Array.from(layer.bias?.dataSync() ?? [])).toEqual([7]);
    layer.dispose();
  });
  it('Linear: inputScale', () => {
    const layer = new Linear({inDim: 2, outDim: 1, float8Config: float8('static')});
    withState(layer, {weight: tf.ones([1, 2]), weight_scale: tf.scalar(2), input_scale: tf.scalar(0.25)});
    expect([layer.inputScale?.shape, layer.inputScale?.dataSync()[0]]).toEqual([[], 0.25]);
    layer.dispose();
  });
  it('Linear: weightScale', () => {
    for (const [granularity, scale, shape] of [
      ['tensor', tf.scalar(2), []],
      ['rowwise', tf.tensor1d([2, 3]), [2, 1]],
    ] as const) {
      const layer = new Linear({inDim: 2, outDim: 2, float8Config: {...float8('dynamic'), weightScale: {granularity}}});
      withState(layer, {weight: tf.ones([2, 2]), weight_scale: scale});
      const held = layer.weightScale as tf.Tensor;
      expect(held.shape).toEqual([...shape]);
      expect(held.dataSync()[0]).toBe(2);
      held.dispose();
      layer.dispose();
    }
  });
  it('Linear: setSharding', async () => {
    const layer = withState(new Linear({inDim: 2, outDim: 3}), {
      weight: tf.tensor2d([
        [1, 1],
        [2, 2],
        [3, 3],
      ]),
    });
    layer.setSharding(ShardingStrategy.rowwise(2));
    const shards = layer.shard(['cpu', 'cpu']);
    const ys: number[][] = [];
    for (const shard of shards) ys.push(await yOf(shard, 2));
    expect(ys).toEqual([[2, 4], [6]]);
    layer.dispose();
  });
  it('Linear: loadStateDict', () => {
    const layer = new Linear({inDim: 2, outDim: 1});
    const [wieght, weight] = [tf.ones([1, 2]), tf.ones([2, 1])];
    expect(() => layer.loadStateDict({wieght})).toThrowError(/Did you mean 'wieght'/);
    expect(() => layer.loadStateDict({weight})).toThrowError(/expected \[1,2\]/);
    expect(() => layer.loadStateDict({weight: wieght, extra: weight})).toThrowError(/extra.*strict: false/);
    layer.loadStateDict({weight: wieght, extra: weight}, {strict: false});
    tf.dispose([wieght, weight]);
    layer.dispose();
  });
});

describe('surface: MLP', () => {
  it('mlp', () => {
    const layer = mlp({hiddenDim: 2, feedForwardLength: 3});
    expect(layer).toBeInstanceOf(MLP);
    layer.dispose();
  });
  for (const [activationFunction, y] of Object.entries({
    silu: 2 / (1 + Math.exp(-2)),
    gelu: 1.9544997,
    gelu_tanh: 1.9545977,
    relu: 2,
    tanh: Math.tanh(2),
    sigmoid: 1 / (1 + Math.exp(-2)),
  })) {
    it(`MLP: ${activationFunction}`, async () => {
      const layer = new MLP({hiddenDim: 2, feedForwardLength: 1, activationFunction: activationFunction as 'relu'});
      const state = {'gate_proj.weight': tf.ones([1, 2]), 'up_proj.weight': tf.fill([1, 2], 0.5), 'down_proj.weight': tf.ones([2, 1])};
      const [first, second] = await yOf(withState(layer, state), 2);
      expect(first).toBeCloseTo(y, 5);
      expect(second).toBe(first as number);
    });
  }
  it('MLP: float8Config', async () => {
    const layer = new MLP({hiddenDim: 2, feedForwardLength: 1, activationFunction: 'relu', float8Config: float8('static')});
    const state: Record<string, tf.Tensor> = {};
    for (const [name, shape] of Object.entries({gate_proj: [1, 2], up_proj: [1, 2], down_proj: [2, 1]})) {
      state[`${name}.weight`] = tf.ones(shape);
      state[`${name}.weight_scale`] = tf.scalar(0.5);
      state[`${name}.input_scale`] = tf.scalar(1);
    }
    expect(layer.gateProj.float8Config?.isStatic).toBeTrue();
    expect(await yOf(withState(layer, state), 2)).toEqual([0.5, 0.5]);
  });
  it('MLP: devices', async () => {
    for (const started of ['wasm', 'cpu']) await tf.setBackend(started);
    const layer = new MLP({hiddenDim: 2, feedForwardLength: 1, devices: [new DeviceRef('cpu')]});
    for (const l of [layer.gateProj, layer.upProj, layer.downProj]) expect(l.device?.backendName).toBe('cpu');
    layer.dispose();
    const spread = new MLP({hiddenDim: 2, feedForwardLength: 3, devices: [new DeviceRef('cpu'), 'wasm']});
    const places = [spread.gateProj, spread.upProj, spread.downProj].map((l) => (l as ShardedLinear).places.map(({device}) => device));
    expect(places).toEqual([0, 1, 2].map(() => ['cpu', 'wasm']));
    spread.dispose();
  });
});

describe('surface: GPTQLinear', () => {
  const quantizationConfig = new QuantizationConfig({quantMethod: 'gptq', bits: 4, groupSize: 32, sym: true});
  const dims = {inDim: 64, outDim: 8, quantizationConfig};
  it('gptqLinear', () => {
    const layer = gptqLinear(dims);
    expect(layer).toBeInstanceOf(GPTQLinear);
    layer.dispose();
  });
  it('GPTQLinear: quantizationConfig', () => {
    const layer = new GPTQLinear(dims);
    expect(layer.quantizationConfig).toBe(quantizationConfig);
    expect((layer.weight as QuantizedWeight).layout.scales[0]?.grid.shape).toEqual([8, 2]);
    layer.dispose();
  });
  it('GPTQLinear: quantizationEncoding', () => {
    const layer = new GPTQLinear({...dims, quantizationEncoding: 'GPTQ'});
    expect(layer.weight.byteLength).toBe((8 * 64) / 2 + 8 * 2 * 2);
    layer.dispose();
  });
  it('GPTQLinear: dtype', () => {
    // MAX ignores it; the config says what is stored.
    const layer = new GPTQLinear({...dims, dtype: DType.bfloat16});
    expect((layer.weight as QuantizedWeight).layout.planes).toEqual([4]);
    layer.dispose();
  });
  it('GPTQLinear: device', () => {
    const layer = new GPTQLinear({...dims, device: 'cpu'});
    expect(layer.device?.backendName).toBe('cpu');
    layer.dispose();
  });
  it('GPTQLinear: hasBias', async () => {
    const layer = new GPTQLinear({...dims, hasBias: true});
    const state = {qweight: tf.zeros([8, 8], 'int32'), scales: tf.ones([2, 8]), bias: tf.fill([8], 12)};
    // Codes 0 are -8: 64 of them and a bias of 12.
    expect(await yOf(withState(layer, state), 64)).toEqual(new Array(8).fill(-500));
  });
  it('GPTQLinear: float8Config', () => {
    expect(() => new GPTQLinear({...dims, float8Config: float8('dynamic')})).toThrowError(/float8Config: expected none/);
  });
});

describe('surface: Weight', () => {
  it('Weight', () => {
    const tensors = tf.memory().numTensors;
    const weight = new Weight({name: 'w', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4), device: 'cpu'});
    expect([weight.isOnDevice, tf.memory().numTensors]).toEqual([false, tensors]);
    const held = weight.value();
    expect(weight.value()).toBe(held);
    expect(weight.isOnDevice).toBeTrue();
    const half = new Weight({name: 'h', shape: [2, 2], dtype: DType.float16, data: Float32Array.of(1, 2, 3, 4)});
    expect([half.byteLength, half.to('cpu').device?.backendName]).toEqual([8, 'cpu']);
    const blocks = new Weight({name: 'q', shape: [1, 32], quantizationEncoding: 'Q8_0', data: new Uint8Array(34)});
    expect([blocks.dtype, blocks.layout?.planes]).toEqual(['uint8', [8]]);
    const packed = blocks.to('cpu').value() as QuantizedWeight;
    expect(packed.shape).toEqual([1, 32]);
    const bias = new Weight({name: 'b', shape: [2], data: Float32Array.of(1, 2)});
    expect((bias.value() as tf.Tensor1D).shape).toEqual([2]);
    expect(() => new Weight({name: 'w', shape: [2, 3], data: Float32Array.of(1)})).toThrowError(
      /weight 'w': expected 6 numbers for \[2,3\]/,
    );
    packed.dispose();
    for (const handle of [weight, half, blocks, bias]) handle.dispose();
  });
});
