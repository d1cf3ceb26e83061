/** ShardedLinear: one Linear whose weight lies on several devices, by any strategy. */
import * as tf from '@tensorflow/tfjs';
import {checkInstance, checkObject, checkTensor} from '../arguments.js';
import {checkDeviceList, DeviceRef, deviceOf} from '../device.js';
import {ArgumentError, ShapeError} from '../errors.js';
import {deviceNamed} from '../sharding/device.js';
import {runAsync, runSync} from '../sharding/flow.js';
import type {PlacedShard, ShardDevice} from '../sharding/shard_device.js';
import {type HostValues, initOf, readValues, readValuesAsync, spreadAlready} from '../sharding/shard_linear.js';
import {ShardedCore, type ShardPlan} from '../sharding/sharded_core.js';
import type {ShardedWeight, ShardPlace} from '../sharding/sharded_weight.js';
import {ShardingStrategy, type StrategyConfig} from '../sharding/strategy.js';
import {fromSavedConfig, toSavedConfig} from './config.js';
import type {CoreConfig} from './core_config.js';
import {Linear} from './linear.js';
import {type LinearConfig, type LinearInit, linearConfigOf} from './linear_config.js';

/** Where a layer is spread to, and how. */
export interface SpreadOptions {
  /** One a shard, by backend name; the same one may come several times. */
  devices: readonly (DeviceRef | string)[];
  /** Default: rows, evenly. */
  strategy?: ShardingStrategy | StrategyConfig;
  /** Where results of `forward` lie. Default: the current backend at each call. */
  home?: DeviceRef | string | null;
}

export interface ShardedLinearConfig extends Omit<LinearConfig, 'device'>, SpreadOptions {}

/**
 * A `Linear` spread over devices: each holds its part of the weight (codes, scales, zeros and column order cut together), x goes to all of them,
 * and their results come home, concatenated or summed. Same numbers, state keys and options as `Linear`; trains and saves as it does.
 * Work is given to devices that only queue it before those that block, so that they run at the same time.
 *
 * ```js
 * const layer = new tfl.ShardedLinear({inDim: 8, outDim: 6, devices: ['cpu', 'cpu'], strategy: tfl.ShardingStrategy.columnwise(2)});
 * layer.forward(tf.ones([3, 8])).shape; // [3, 6]
 * layer.places.map((place) => place.columns); // [[[0, 4]], [[4, 8]]]
 * ```
 */
export class ShardedLinear extends Linear {
  static override className = 'TflShardedLinear';

  constructor(config: ShardedLinearConfig, init: LinearInit = {}) {
    checkObject('ShardedLinear', config);
    const where = config.name ?? 'ShardedLinear';
    const plan = planOf(config, where);
    const {devices: _devices, strategy: _strategy, home: _home, ...rest} = config;
    super(rest, {makeCore: (core: CoreConfig) => new ShardedCore(core, plan), ...init});
  }

  /** A layer on one device spread over several: same numbers, same name. It keeps its own weight; dispose it. */
  static of(layer: Linear, options: SpreadOptions): ShardedLinear {
    checkInstance('ShardedLinear.of: layer', layer, Linear, 'a Linear');
    return fromValues(layer, readValues(layer), options);
  }

  /** As `of`, where the weight lies on a device that cannot be read synchronously. */
  static async ofAsync(layer: Linear, options: SpreadOptions): Promise<ShardedLinear> {
    checkInstance('ShardedLinear.ofAsync: layer', layer, Linear, 'a Linear');
    return fromValues(layer, await readValuesAsync(layer), options);
  }

  /** The weight, where it lies. */
  override get weight(): ShardedWeight {
    return this.spread.shardedWeight;
  }

  /** [N] float32 on the current backend, or null. Owned by the layer. */
  override get bias(): tf.Tensor1D | null {
    return this.spread.bias;
  }

  get devices(): DeviceRef[] {
    return this.spread.plan.devices.map(({name}) => new DeviceRef(name));
  }

  get strategy(): ShardingStrategy {
    return this.spread.plan.strategy;
  }

  /** Who holds which rows and columns, and how many bytes. */
  get places(): ShardPlace[] {
    return this.spread.places;
  }

  /** Bytes on all devices together. */
  override get byteLength(): number {
    return this.places.reduce((sum, place) => sum + place.byteLength, 0);
  }

  /** As `forward`, for devices that cannot be read synchronously. */
  override forwardAsync(x: tf.Tensor): Promise<tf.Tensor> {
    return this.spread.forwardAsync(x);
  }

  /**
   * y [..., N] on every device, in their order. x [..., K] on any device, or one a device with the same numbers, as MAX has it.
   * Throws ArgumentError for another number of them, DeviceError where a device has to be awaited.
   */
  forwardEach(x: tf.Tensor | readonly tf.Tensor[]): tf.Tensor[] {
    const xs = this.inputsOf(x);
    return runSync(() => this.spread.eachFlow(xs));
  }

  /** As `forwardEach`, for every device. */
  async forwardEachAsync(x: tf.Tensor | readonly tf.Tensor[]): Promise<tf.Tensor[]> {
    const xs = this.inputsOf(x);
    return runAsync(() => this.spread.eachFlow(xs));
  }

  override stateDict(): Record<string, tf.Tensor> {
    const dict: Record<string, tf.Tensor> = {[`${this.keyPrefix}weight`]: this.spread.weightTensor()};
    if (this.inputScale !== null) dict[`${this.keyPrefix}input_scale`] = tf.clone(this.inputScale);
    const {bias} = this;
    if (bias !== null) dict[`${this.keyPrefix}bias`] = tf.clone(bias);
    return dict;
  }

  override setSharding(_strategy: ShardingStrategy): void {
    throw spreadAlready(this.name, 'a layer on one device');
  }

  override getConfig(): tf.serialization.ConfigDict {
    const {device: _device, ...rest} = fromSavedConfig<LinearConfig>(super.getConfig());
    const config: ShardedLinearConfig = {
      ...rest,
      devices: this.devices.map(String),
      strategy: this.strategy.toJSON(),
      home: this.spread.plan.home,
    };
    return toSavedConfig(config);
  }

  /** The core, for layers and managers that run or move shards themselves. */
  get spread(): ShardedCore {
    return this.core as ShardedCore;
  }

  private inputsOf(x: tf.Tensor | readonly tf.Tensor[]): readonly tf.Tensor[] {
    return oneOrEach(x, this.spread.plan.devices.length, this.name);
  }
}

/** One x for all devices, or one for each. Throws ArgumentError for another number of them, ShapeError where they differ. */
export function oneOrEach(x: tf.Tensor | readonly tf.Tensor[], devices: number, layer: string): readonly tf.Tensor[] {
  if (x instanceof tf.Tensor) return [x];
  const where = `${layer}: forwardEach`;
  if (!Array.isArray(x) || x.length !== devices) {
    const received = Array.isArray(x) ? x.length : x;
    throw new ArgumentError({where, expected: `one x, or one for each of ${devices} devices`, received});
  }
  for (const each of x) checkTensor(where, each);
  const shapes = new Set(x.map(({shape}) => `[${shape}]`));
  if (shapes.size > 1) throw new ShapeError({where, expected: 'the same x on every device', received: [...shapes].join(', ')});
  return x;
}

function fromValues(layer: Linear, {record, ...values}: HostValues, options: SpreadOptions): ShardedLinear {
  const {device: _device, ...base} = linearConfigOf(layer);
  // Half of a stacked record says the layout of the whole.
  const layout = (base.layout ?? null) === null ? null : record.layout;
  return new ShardedLinear({...base, layout, ...options}, initOf({words: record.words, ...values}));
}

/** Devices by name or reference. Throws ArgumentError for an empty list. */
export function devicesOf(devices: readonly (DeviceRef | string)[] | undefined, where: string): ShardDevice[] {
  checkDeviceList(devices, `${where}: devices`);
  return devices.map(deviceNamed);
}

export function homeOf(home: DeviceRef | string | null | undefined): string | null {
  return deviceOf(home)?.backendName ?? null;
}

function planOf(config: ShardedLinearConfig, where: string): ShardPlan {
  const devices = devicesOf(config.devices, where);
  const {strategy = ShardingStrategy.rowwise(devices.length)} = config;
  const plan = {
    strategy: strategy instanceof ShardingStrategy ? strategy : ShardingStrategy.from(strategy),
    devices,
    home: homeOf(config.home),
  };
  if (plan.strategy.numDevices !== devices.length) {
    throw new ArgumentError({
      where: `${where}: strategy`,
      expected: `one for ${devices.length} devices`,
      received: `${plan.strategy.numDevices}`,
    });
  }
  return plan;
}

/** A layer over shards that are there already: a window on another layer's, `view`. */
export function overShards(
  config: LinearConfig,
  plan: ShardPlan & {shards: readonly PlacedShard[]},
  view: NonNullable<CoreConfig['view']>,
): ShardedLinear {
  const devices = plan.devices.map(({name}) => new DeviceRef(name));
  return new ShardedLinear(
    {...config, devices, strategy: plan.strategy, home: plan.home},
    {makeCore: (core) => new ShardedCore({...core, view}, plan)},
  );
}

tf.serialization.registerClass(ShardedLinear as unknown as tf.serialization.SerializableConstructor<ShardedLinear>);
