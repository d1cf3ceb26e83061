/** One layer of every class, and of every way to hold a weight: what saving, calling and training are tried on. */
import * as tf from '@tensorflow/tfjs';
import {
  ColumnParallelLinear,
  DistributedMLP,
  DType,
  type Float8ConfigFields,
  GPTQLinear,
  GPTQLinearV1,
  type InputQuantization,
  Linear,
  type LinearConfig,
  LinearV1,
  MLP,
  MLPV1,
  openCheckpoint,
  QLinearV1,
  type QuantizedWeight,
  ShardedLinear,
  ShardingStrategy,
  StackedLinear,
  Weight,
} from '../../src/index.js';
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {randomX} from '../grid/layouts.js';
import {jsonBytes} from '../support/files.js';
import {packedLayer, packedMLP, randomTensor, setSeededWeights} from './layers_support.js';

export interface Sample {
  readonly name: string;
  /** On the current backend. */
  make(): Promise<Linear | MLP>;
  /** Last dimension of x. */
  readonly width: number;
  /** What `fit` moves: everything, the biases, or nothing. */
  readonly trains: 'all' | 'bias' | 'nothing';
}

/** The same backend twice: a layer that is spread, without a second device. */
const twice = () => [tf.getBackend(), tf.getBackend()];

function set<L extends Linear | MLP>(layer: L, state: Record<string, tf.Tensor>): L {
  layer.loadStateDict(state);
  tf.dispose(state);
  return layer;
}

function half(dtype: DType): Linear {
  const layer = new Linear({inDim: 12, outDim: 7, dtype, hasBias: true});
  return set(layer, {weight: randomTensor([7, 12], 9), bias: randomTensor([7], 4)});
}

/** 3 x 8 codes of e4m3fn under a config, with its scales. */
function float8(
  weight: 'tensor' | 'rowwise' | 'colwise' | 'block',
  input: 'tensor' | 'rowwise' | 'colwise' | 'block',
  origin: 'static' | 'dynamic',
): Linear {
  const config: Float8ConfigFields = {
    inputScale: {granularity: input, origin, ...(input === 'block' ? {blockSize: 4} : {})},
    weightScale: {granularity: weight, ...(weight === 'block' ? {blockSize: [2, 4]} : {})},
  };
  const layer = new Linear({inDim: 8, outDim: 3, float8Config: config});
  const codes = Int32Array.from({length: 24}, (_, i) => i * 5);
  const shapes = {tensor: [], rowwise: [3, 1], colwise: [1, 8], block: [2, 2]};
  const scale = tf.tidy(() => tf.mul(tf.add(randomTensor(shapes[weight], 3), 2), 0.01));
  const state: Record<string, tf.Tensor> = {weight: tf.tensor2d(codes, [3, 8], 'int32'), weight_scale: scale};
  if (layer.inputScale !== null) state.input_scale = tf.fill(layer.inputScale.shape, 0.01);
  return set(layer, state);
}

/** A dense or packed layer with a static scale of x that is a tensor. */
function scaled(granularity: InputQuantization['granularity'], scale: tf.Tensor, config: Partial<LinearConfig> = {}): Linear {
  const block = granularity === 'block' ? {block: 4} : {};
  const layer = new Linear({
    inDim: 8,
    outDim: 3,
    ...config,
    inputQuantization: {dtype: 'int8', origin: 'static', granularity, scale, ...block},
  });
  scale.dispose();
  return layer;
}

/** fp8 types that e4m3fn's fixtures do not have: 3 x 8 codes and a scale a row. */
async function smallFloat(dtype: 'F8_E4M3FNUZ' | 'F8_E5M2FNUZ' | 'F8_E5M2'): Promise<Linear> {
  const bytes = writeSafetensors([
    {name: 'm.weight', dtype, shape: [3, 8], data: Uint8Array.from({length: 24}, (_, i) => i * 5)},
    {name: 'm.weight_scale', dtype: 'F32', shape: [3, 1], data: new Uint8Array(Float32Array.of(0.5, 2, 1).buffer)},
  ]);
  const config = jsonBytes({quantization_config: {quant_method: 'fp8'}});
  const checkpoint = await openCheckpoint({'model.safetensors': bytes, 'config.json': config});
  return checkpoint.linear('m');
}

async function blocksV1(): Promise<QLinearV1> {
  const data = Uint8Array.from({length: 3 * 18}, (_, i) => (i % 18 === 1 ? 48 : i * 7));
  const weight = new Weight({name: 'weight', shape: [3, 32], quantizationEncoding: 'Q4_0', data});
  const layer = new QLinearV1({weight});
  weight.dispose();
  return layer;
}

async function gptqV1(): Promise<GPTQLinearV1> {
  const from = await packedLayer('gptq_b4_g64_sym_act_v1_bias');
  const layer = new GPTQLinearV1({weight: from.weight as QuantizedWeight, bias: from.bias});
  from.dispose();
  return layer;
}

async function packedShards(): Promise<ShardedLinear> {
  const from = await packedLayer('gptq_b4_g64_asym_act_v2');
  const {layout} = from.weight as QuantizedWeight;
  const words = (await (from.weight as QuantizedWeight).words.data()) as Int32Array;
  const config = {inDim: from.inDim, outDim: from.outDim, layout};
  from.dispose();
  return new ShardedLinear({...config, devices: twice(), strategy: ShardingStrategy.columnwise(2)}, {words});
}

const encoded = (): Promise<Linear> => {
  const data = Uint8Array.from({length: 3 * 34}, (_, i) => (i % 34 === 1 ? 48 : i * 7));
  const layer = new Linear({inDim: 32, outDim: 3, quantizationEncoding: 'Q8_0', hasBias: true});
  return Promise.resolve(set(layer, {weight: tf.tensor2d(data, [3, 34], 'int32'), bias: randomTensor([3], 4)}));
};

const gptq = (): Promise<Linear> => {
  const layer = new GPTQLinear({inDim: 64, outDim: 8, hasBias: true, quantizationConfig: {bits: 4, groupSize: 32, sym: true}});
  const scales = tf.tidy(() => tf.mul(randomTensor([2, 8], 5), 0.01));
  const qweight = tf.tensor2d(
    Int32Array.from(randomX(1, 64, 3), (v) => Math.floor(v * 2 ** 31)),
    [8, 8],
    'int32',
  );
  return Promise.resolve(set(layer, {qweight, scales, bias: randomTensor([8], 4)}));
};

const sample = (name: string, width: number, trains: Sample['trains'], make: () => Linear | MLP | Promise<Linear | MLP>): Sample => ({
  name,
  width,
  trains,
  // Seeded: random ones could all be beyond a clip, or below relu.
  make: async () => (trains === 'all' && !/of x/.test(name) ? setSeededWeights(await make()) : make()),
});

const qkv = {outDims: [4, 2, 2], names: ['q', 'k', 'v']};

export const SAMPLES: readonly Sample[] = [
  sample('Linear, float32', 5, 'all', () => new Linear({inDim: 5, outDim: 3, hasBias: true, activation: 'relu'})),
  sample('Linear, clipped', 5, 'all', () => new Linear({inDim: 5, outDim: 3, clipWeight: 0.2})),
  sample('Linear, float16', 12, 'bias', () => half(DType.float16)),
  sample('Linear, bfloat16', 12, 'bias', () => half(DType.bfloat16)),
  sample('Linear, Q8_0 by encoding', 32, 'bias', encoded),
  sample('Linear, fp8 tensor, dynamic token', 8, 'nothing', () => float8('tensor', 'colwise', 'dynamic')),
  sample('Linear, fp8 row, static tensor', 8, 'nothing', () => float8('rowwise', 'tensor', 'static')),
  sample('Linear, fp8 column, static columns', 8, 'nothing', () => float8('colwise', 'rowwise', 'static')),
  sample('Linear, fp8 block, dynamic block', 8, 'nothing', () => float8('block', 'block', 'dynamic')),
  sample('Linear, e4m3fnuz', 8, 'nothing', () => smallFloat('F8_E4M3FNUZ')),
  sample('Linear, e5m2', 8, 'nothing', () => smallFloat('F8_E5M2')),
  sample('Linear, e5m2fnuz', 8, 'nothing', () => smallFloat('F8_E5M2FNUZ')),
  sample('Linear, nvfp4', 256, 'bias', () => packedLayer('ct_nvfp4')),
  sample('Linear, int8, scale of x a tensor', 8, 'all', () => scaled('tensor', tf.tensor1d([0.02]))),
  sample('Linear, float16, scales of x by column', 8, 'nothing', () =>
    scaled('rowwise', tf.linspace(0.01, 0.08, 8), {dtype: DType.float16}),
  ),
  sample('Linear, float16, scales of x by block', 8, 'nothing', () => scaled('block', tf.fill([2, 2], 0.02), {dtype: DType.float16})),
  sample('GPTQLinear', 64, 'bias', gptq),
  sample('GPTQLinear, act-order', 256, 'bias', () => packedLayer('gptq_b4_g64_sym_act_v1_bias')),
  sample('GPTQLinear, 3 bit, zero points', 256, 'bias', () => packedLayer('gptq_b3_g64_asym_v1_bias')),
  sample('StackedLinear', 6, 'all', () => new StackedLinear({inDim: 6, ...qkv, hasBias: true})),
  sample('StackedLinear, stacked, bfloat16', 6, 'nothing', () => {
    const layer = new StackedLinear({inDim: 6, ...qkv, stacked: true, dtype: DType.bfloat16});
    return set(layer, {weight: randomTensor([8, 6], 2)});
  }),
  sample('ShardedLinear', 6, 'all', () => new ShardedLinear({inDim: 6, outDim: 5, hasBias: true, devices: twice()})),
  sample('ShardedLinear, packed columns, act-order', 256, 'nothing', packedShards),
  sample('ColumnParallelLinear', 6, 'all', () => new ColumnParallelLinear({inDim: 6, outDim: 5, hasBias: true, devices: twice()})),
  sample('MLP', 5, 'all', () => new MLP({hiddenDim: 5, feedForwardLength: 7, hasBias: true, activationFunction: 'gelu_tanh'})),
  sample('MLP, gate and up one record', 64, 'bias', () => packedMLP({bias: true})),
  sample('MLP, column orders of their own', 64, 'nothing', () => packedMLP({bias: false, ordered: true})),
  sample('DistributedMLP', 5, 'all', () => new DistributedMLP({hiddenDim: 5, feedForwardLength: 7, hasBias: true, devices: twice()})),
  sample('LinearV1', 4, 'all', () => {
    const [weight, bias] = [randomTensor([3, 4], 2), randomTensor([3], 3)];
    const layer = new LinearV1({weight, bias});
    tf.dispose([weight, bias]);
    return layer;
  }),
  sample('QLinearV1', 32, 'nothing', blocksV1),
  sample('GPTQLinearV1', 256, 'bias', gptqV1),
  sample('MLPV1', 4, 'all', () => {
    const [gateProj, upProj] = [0, 1].map(() => new Linear({inDim: 4, outDim: 6, hasBias: true})) as [Linear, Linear];
    return new MLPV1({gateProj, upProj, downProj: new Linear({inDim: 6, outDim: 4})});
  }),
];
