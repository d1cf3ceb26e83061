/** The shards of a Linear as layers of their own. */
import type * as tf from '@tensorflow/tfjs';
import type {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {sliceWords} from '../../kernels/slice.js';
import {DeviceRef} from '../device.js';
import {ArgumentError, UnsupportedError} from '../errors.js';
import {fromSavedConfig} from '../layers/config.js';
import {denseLayout} from '../layers/dense_matmul.js';
import type {DenseWeight} from '../layers/dense_weight.js';
import type {Linear} from '../layers/linear.js';
import type {LinearConfig, LinearInit} from '../layers/linear_config.js';
import type {LinearCore} from '../layers/linear_core.js';
import {biasOf} from './place.js';
import {cutRecord, type HostRecord} from './record.js';
import {indicesOf, lengthOf} from './split.js';
import type {Cut, ShardingStrategy} from './strategy.js';

type ShardClass = new (config: LinearConfig, init: LinearInit) => Linear;

type Devices = readonly (DeviceRef | string)[];

/** Layers that are shards: a shard is not split again. */
const made = new WeakSet<object>();

/** Throws UnsupportedError where the layer is a shard. */
export function refuseShard(layer: Linear): void {
  if (!made.has(layer)) return;
  throw new UnsupportedError({where: layer.name, expected: 'a layer that is no shard', received: 'one that was already sharded'});
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
  const tensors = [stored(layer), layer.bias, layer.inputScale].filter((t) => t !== null);
  const values = new Map(await Promise.all(tensors.map(async (t): Promise<[tf.Tensor, tf.TypedArray]> => [t, await t.data()])));
  return valuesOf(layer, (t) => values.get(t) as tf.TypedArray);
}

function valuesOf(layer: Linear, read: (t: tf.Tensor) => tf.TypedArray): HostValues {
  const floats = (t: tf.Tensor | null) => (t === null ? null : (read(t) as Float32Array));
  return {record: recordOf(plainWeight(layer), read(stored(layer))), bias: floats(layer.bias), inputScale: floats(layer.inputScale)};
}

function plainWeight(layer: Linear): QuantizedWeight | DenseWeight {
  const {weight} = layer;
  if (!('cuts' in weight)) return weight;
  throw new UnsupportedError({where: layer.name, expected: 'a layer on one device', received: 'one that is spread already'});
}

function stored(layer: Linear): tf.Tensor {
  const weight = plainWeight(layer);
  return 'layout' in weight ? weight.words : weight.tensor;
}

/** Throws ArgumentError unless there is a device a shard, and a strategy; UnsupportedError for an activation that needs the whole y. */
function checkStrategy(layer: Linear, core: LinearCore, strategy: ShardingStrategy | null, devices: Devices): ShardingStrategy {
  const where = `${layer.name}: shard`;
  if (strategy === null)
    throw new ArgumentError({where, expected: 'a strategy', received: 'none', remedy: 'Call setSharding(strategy) first.'});
  if (devices.length !== strategy.numDevices) {
    throw new ArgumentError({where, expected: `${strategy.numDevices} devices, as the strategy has`, received: `${devices.length}`});
  }
  const {activation} = core.config;
  if (activation !== null && (strategy.axis === 1 || activation.fused === null)) {
    throw new UnsupportedError({
      where,
      expected: 'no activation, or one that each shard can apply to its own outputs',
      received: `'${activation.name}' over ${strategy.kind} shards`,
      remedy: 'Use ShardedLinear, which applies it to the whole y.',
    });
  }
  return strategy;
}

function makeShards(layer: Linear, {record, bias, inputScale: scale}: HostValues, strategy: ShardingStrategy, devices: Devices): Linear[] {
  const base = fromSavedConfig<LinearConfig>(layer.getConfig());
  const own = layer.constructor as ShardClass & {shardClass?: ShardClass};
  const Cls = own.shardClass ?? own;
  const shards: Linear[] = [];
  try {
    strategy.cuts([layer.outDim, layer.inDim]).forEach((cut, i) => {
      const part = cutRecord(record, cut);
      const ownBias = bias === null ? null : biasOf(bias, cut);
      const config: LinearConfig = {
        ...base,
        name: `${layer.name}_shard_${i}`,
        inDim: lengthOf(cut.columns),
        outDim: lengthOf(cut.rows),
        layout: base.layout === null ? null : part.layout,
        hasBias: layer.hasBias && cut.bias !== 'none',
        device: new DeviceRef(String(devices[i])),
        origin: null,
      };
      const shard = new Cls(config, {
        words: part.words,
        ...(ownBias === null ? {} : {bias: ownBias}),
        ...(scale === null ? {} : {inputScale: scaleOf(scale, cut)}),
      });
      made.add(shard);
      shards.push(shard);
    });
  } catch (error) {
    for (const shard of shards) shard.dispose();
    throw error;
  }
  return shards;
}

/** A static scale of x: one number for all, or those of the shard's columns. */
function scaleOf(scale: Float32Array, cut: Cut): Float32Array {
  return scale.length === 1 ? scale : Float32Array.from(indicesOf(cut.columns), (k) => scale[k] as number);
}

/** The record behind a weight whose words (or floats) are on the host. */
function recordOf(weight: QuantizedWeight | DenseWeight, values: tf.TypedArray): HostRecord {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  if (!('layout' in weight)) return {layout: denseLayout(weight.outDim, weight.inDim), words};
  const {layout, rowStart, rowEnd} = weight;
  return rowStart === 0 && rowEnd === layout.outDim ? {layout, words} : sliceWords(layout, words, [rowStart, rowEnd], [0, layout.inDim]);
}
