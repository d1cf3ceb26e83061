/** The shards of a Linear as layers of their own. */
import type * as tf from '@tensorflow/tfjs';
import type {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {type DeviceRef, deviceOf} from '../device.js';
import {ArgumentError, UnsupportedError} from '../errors.js';
import {fromSavedConfig} from '../layers/config.js';
import type {DenseWeight} from '../layers/dense_weight.js';
import type {Linear} from '../layers/linear.js';
import {type LinearConfig, type LinearInit, linearConfigOf} from '../layers/linear_config.js';
import type {LinearCore} from '../layers/linear_core.js';
import {biasOf} from './place.js';
import {cutRecord, type HostRecord, recordOf} from './record.js';
import {indicesOf, lengthOf} from './split.js';
import {type Cut, ShardingStrategy} from './strategy.js';

type ShardClass = new (config: LinearConfig, init: LinearInit) => Linear;

type Devices = readonly (DeviceRef | string)[];

/** Layers that are shards: a shard is not split again. */
const made = new WeakSet<object>();

/** Throws ArgumentError for what is no strategy, UnsupportedError where the layer is a shard. */
export function checkSetSharding(layer: {readonly name: string}, strategy: ShardingStrategy): void {
  if (!(strategy instanceof ShardingStrategy)) {
    const received = typeof strategy === 'object' && strategy !== null ? 'plain data' : String(strategy);
    const remedy = 'Make one: ShardingStrategy.rowwise(2), or ShardingStrategy.from(data).';
    throw new ArgumentError({where: `${layer.name}: setSharding`, expected: 'a ShardingStrategy', received, remedy});
  }
  if (!made.has(layer)) return;
  const remedy = 'Shard the whole layer.';
  throw new UnsupportedError({where: layer.name, expected: 'a layer that is no shard', received: 'one that was already sharded', remedy});
}

/** The error for a layer that cannot be spread again. */
export function spreadAlready(where: string, expected: string): UnsupportedError {
  const remedy = 'Shard the whole layer.';
  return new UnsupportedError({where, expected, received: 'one that is spread already', remedy});
}

export function shardLinear(layer: Linear, core: LinearCore, strategy: ShardingStrategy | null, devices: Devices): Linear[] {
  const checked = checkStrategy(layer, core, strategy, devices);
  return makeShards(layer, readValues(layer), checked, devices);
}

export async function shardLinearAsync(
  layer: Linear,
  core: LinearCore,
  strategy: ShardingStrategy | null,
  devices: Devices,
): Promise<Linear[]> {
  const checked = checkStrategy(layer, core, strategy, devices);
  return makeShards(layer, await readValuesAsync(layer), checked, devices);
}

/** What a layer on one device holds, on the host. */
export interface HostValues {
  readonly record: HostRecord;
  readonly bias: Float32Array | null;
  readonly inputScale: Float32Array | null;
}

export function readValues(layer: Linear): HostValues {
  return valuesOf(layer, (t) => t.dataSync());
}

export async function readValuesAsync(layer: Linear): Promise<HostValues> {
  const tensors = [layer.bias, layer.inputScale, stored(layer)].filter((t) => t !== null);
  const values = new Map(await Promise.all(tensors.map(async (t): Promise<[tf.Tensor, tf.TypedArray]> => [t, await t.data()])));
  return valuesOf(layer, (t) => values.get(t) as tf.TypedArray);
}

function valuesOf(layer: Linear, read: (t: tf.Tensor) => tf.TypedArray): HostValues {
  const floats = (t: tf.Tensor | null) => (t === null ? null : Float32Array.from(read(t)));
  // The bias first: a layer that was disposed says so.
  return {bias: floats(layer.bias), inputScale: floats(layer.inputScale), record: recordOf(plainWeight(layer), read(stored(layer)))};
}

function plainWeight(layer: Linear): QuantizedWeight | DenseWeight {
  const {weight} = layer;
  if (!('cuts' in weight)) return weight;
  throw spreadAlready(layer.name, 'a layer on one device');
}

function stored(layer: Linear): tf.Tensor {
  const weight = plainWeight(layer);
  return 'layout' in weight ? weight.words : weight.tensor;
}

/** Throws ArgumentError unless there is a strategy, and a device a shard. */
export function checkDevices(layer: {readonly name: string}, strategy: ShardingStrategy | null, devices: Devices): ShardingStrategy {
  const where = `${layer.name}: shard`;
  if (strategy === null)
    throw new ArgumentError({where, expected: 'a strategy', received: 'none', remedy: 'Call setSharding(strategy) first.'});
  if (Array.isArray(devices) && devices.length === strategy.numDevices) return strategy;
  const received = Array.isArray(devices) ? `${devices.length}` : String(devices);
  throw new ArgumentError({where, expected: `${strategy.numDevices} devices, as the strategy has`, received});
}

/** One shard a device, marked as such. Throws with none left. */
export function makeEach<L extends {dispose(): unknown}>(devices: Devices, make: (device: DeviceRef | string, i: number) => L): L[] {
  const shards: L[] = [];
  try {
    devices.forEach((device, i) => {
      const shard = make(device, i);
      made.add(shard);
      shards.push(shard);
    });
  } catch (error) {
    for (const shard of shards) shard.dispose();
    throw error;
  }
  return shards;
}

/** As checkDevices; throws UnsupportedError for an activation that needs the whole y. */
function checkStrategy(layer: Linear, core: LinearCore, asked: ShardingStrategy | null, devices: Devices): ShardingStrategy {
  const strategy = checkDevices(layer, asked, devices);
  const {activation} = core.config;
  if (activation !== null && (strategy.axis === 1 || activation.fused === null)) {
    throw new UnsupportedError({
      where: `${layer.name}: shard`,
      expected: 'no activation, or one that each shard can apply to its own outputs',
      received: `'${activation.name}' over ${strategy.kind} shards`,
      remedy: 'Use ShardedLinear, which applies it to the whole y.',
    });
  }
  return strategy;
}

function makeShards(layer: Linear, values: HostValues, strategy: ShardingStrategy, devices: Devices): Linear[] {
  const own = layer.constructor as ShardClass & {shardClass?: ShardClass};
  const Cls = own.shardClass ?? own;
  const parts = shardParts(layer, values, strategy);
  return makeEach(devices, (device, i) => {
    const {config, init} = parts[i] as (typeof parts)[number];
    return new Cls({...config, name: `${layer.name}_shard_${i}`, device: deviceOf(device)}, init);
  });
}

/** What each shard of a layer is made of, but for its name and device. */
export function shardParts(
  layer: Linear,
  {record, bias, inputScale}: HostValues,
  strategy: ShardingStrategy,
): {config: LinearConfig; init: LinearInit}[] {
  // Shards of another class than the layer's are Linears.
  const other = (layer.constructor as {shardClass?: ShardClass}).shardClass !== undefined;
  const base = other ? linearConfigOf(layer) : fromSavedConfig<LinearConfig>(layer.getConfig());
  return strategy.cuts([layer.outDim, layer.inDim]).map((cut) => {
    const part = cutRecord(record, cut);
    const own = bias === null ? null : biasOf(bias, cut);
    const scale = inputScale === null ? null : scaleOf(layer, inputScale, cut);
    return {
      config: {
        ...base,
        inDim: lengthOf(cut.columns),
        outDim: lengthOf(cut.rows),
        layout: base.layout === null ? null : part.layout,
        hasBias: layer.hasBias && cut.bias !== 'none',
        origin: null,
        ...(scale === null ? {} : {inputScaleShape: scale.shape}),
      },
      init: initOf({...part, bias: own, inputScale: scale?.values ?? null}),
    };
  });
}

/** Values for a new layer. */
export function initOf({
  words,
  bias,
  inputScale,
}: {
  words: Int32Array;
  bias: Float32Array | null;
  inputScale: Float32Array | null;
}): LinearInit {
  return {words, ...(bias === null ? {} : {bias}), ...(inputScale === null ? {} : {inputScale})};
}

/** A static scale of x: that of the columns which the shard sees. Throws UnsupportedError where columns are cut and blocks of them share a scale. */
function scaleOf(layer: Linear, values: Float32Array, cut: Cut): {values: Float32Array; shape: readonly number[]} {
  const {shape} = layer.inputScale as tf.Tensor;
  const columns = lengthOf(cut.columns);
  const granularity = layer.inputQuantization?.granularity;
  if (granularity === 'rowwise') return {values: Float32Array.from(indicesOf(cut.columns), (k) => values[k] as number), shape: [columns]};
  if (granularity !== 'block' || columns === layer.inDim) return {values, shape};
  throw new UnsupportedError({
    where: `${layer.name}: shard`,
    expected: 'rows cut, or a scale of x that does not belong to blocks of columns',
    received: 'columns cut, and a static scale for each block',
    remedy: 'Use ShardedLinear, which rounds x before it is cut.',
  });
}
