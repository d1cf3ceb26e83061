/** Arguments of the layers over several devices, named after their rows in the table of `npm run surface`; and saving such layers. */
import * as tf from '@tensorflow/tfjs';
import {
  ColumnParallelLinear,
  type ColumnParallelLinearConfig,
  columnParallelLinear,
  DistributedMLP,
  type DistributedMLPConfig,
  DType,
  distributedMLP,
  openCheckpoint,
  type QuantizationEncoding,
  saveSafetensors,
  saveSafetensorsAsync,
} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {take} from '../layers/layers_support.js';
import {filesOf} from '../support/checkpoints.js';

const devices = ['cpu', 'cpu'];
const float8Config = {
  inputScale: {granularity: 'colwise' as const, origin: 'dynamic' as const},
  weightScale: {granularity: 'tensor' as const},
};

function head(options: Partial<ColumnParallelLinearConfig>): ColumnParallelLinear {
  return new ColumnParallelLinear({inDim: 32, outDim: 6, devices, ...options});
}

function block(options: Partial<DistributedMLPConfig>): DistributedMLP {
  return new DistributedMLP({hiddenDim: 32, feedForwardLength: 64, devices, ...options});
}

/** Bytes over all devices. */
const bytesOf = (layer: ColumnParallelLinear | DistributedMLP) => layer.places.reduce((sum, place) => sum + place.byteLength, 0);

describe('surface: ColumnParallelLinear', () => {
  it('columnParallelLinear', () => {
    const layer = columnParallelLinear({inDim: 2, outDim: 2, devices});
    expect(layer).toBeInstanceOf(ColumnParallelLinear);
    layer.dispose();
  });
  it('ColumnParallelLinear: dtype', () => {
    const layer = head({dtype: DType.bfloat16});
    expect([layer.weightDType, bytesOf(layer)]).toEqual(['bfloat16', 6 * 32 * 2]);
    layer.dispose();
  });
  it('ColumnParallelLinear: quantizationEncoding', () => {
    const layer = head({quantizationEncoding: 'Q8_0' satisfies QuantizationEncoding});
    // 34 bytes a block of 32, scales of each share padded to whole words of four.
    expect(bytesOf(layer)).toBeGreaterThanOrEqual(6 * 34);
    expect(bytesOf(layer)).toBeLessThan(6 * 34 + 32);
    layer.dispose();
  });
  it('ColumnParallelLinear: float8Config', async () => {
    const layer = head({float8Config});
    const [x, weight, scale] = [tf.ones([1, 32]), tf.ones([6, 32]), tf.scalar(0.5)];
    layer.loadStateDict({weight, weight_scale: scale});
    for (const y of await take(layer.forward(x))) expect(y).toBeCloseTo(16, 4);
    tf.dispose([x, weight, scale]);
    layer.dispose();
  });
  it('ColumnParallelLinear: clipWeight', async () => {
    const layer = head({clipWeight: 0.5});
    const [x, weight] = [tf.ones([1, 32]), tf.fill([6, 32], 3)];
    layer.loadStateDict({weight});
    expect(await take(layer.forward(x))).toEqual(new Array(6).fill(16));
    tf.dispose([x, weight]);
    layer.dispose();
  });
});

describe('surface: DistributedMLP', () => {
  it('distributedMLP', () => {
    const layer = distributedMLP({hiddenDim: 2, feedForwardLength: 2, devices});
    expect(layer).toBeInstanceOf(DistributedMLP);
    layer.dispose();
  });
  it('DistributedMLP: dtype', () => {
    const layer = block({dtype: DType.float16});
    expect(bytesOf(layer)).toBe(3 * 32 * 64 * 2);
    layer.dispose();
  });
  it('DistributedMLP: quantizationEncoding', () => {
    const layer = block({quantizationEncoding: 'Q4_0'});
    expect(bytesOf(layer)).toBe((3 * 32 * 64 * 18) / 32);
    layer.dispose();
  });
  it('DistributedMLP: activationFunction', async () => {
    const layer = block({activationFunction: 'relu'});
    const state = {
      'gate_proj.weight': tf.fill([64, 32], -1),
      'up_proj.weight': tf.ones([64, 32]),
      'down_proj.weight': tf.ones([32, 64]),
    };
    layer.loadStateDict(state);
    const x = tf.ones([1, 32]);
    expect(await take(layer.forward(x))).toEqual(new Array(32).fill(0));
    tf.dispose([x, state]);
    layer.dispose();
  });
  it('DistributedMLP: float8Config', () => {
    const layer = block({float8Config});
    expect(layer.gateProj.float8Config?.isDynamic).toBeTrue();
    expect(bytesOf(layer)).toBeLessThan(3 * 32 * 64 * 1.02);
    layer.dispose();
  });
});

describe('saveSafetensors of layers over several devices', () => {
  it('writes the file of the whole layer', async () => {
    const c = caseNamed('gptq_b4_g64_sym_act_v1_bias');
    const checkpoint = await openCheckpoint((await filesOf(c)).files);
    const whole = await checkpoint.linear(c.module);
    const wanted = saveSafetensors({head: whole}).bytes;
    const spread = new ColumnParallelLinear({
      inDim: c.inDim,
      outDim: c.outDim,
      devices,
      hasBias: c.bias,
      tiedWeight: null,
      layout: (whole.weight as {layout: NonNullable<ColumnParallelLinearConfig['layout']>}).layout,
      origin: whole.origin,
    });
    const state = whole.stateDict();
    spread.loadStateDict(state);
    expect(saveSafetensors({head: spread}).bytes).toEqual(wanted);
    expect((await saveSafetensorsAsync({head: spread})).bytes).toEqual(wanted);
    const mlp = block({});
    const saved = await openCheckpoint({'model.safetensors': saveSafetensors({mlp}).bytes});
    expect(await take(await saved.tensor('mlp.down_proj.weight'))).toEqual(await take(mlp.downProj.weight.dequantize()));
    tf.dispose(state);
    for (const layer of [whole, spread, mlp]) layer.dispose();
    await checkpoint.close();
  });
});
