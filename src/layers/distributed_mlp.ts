/** DistributedMLP: gate and up by rows, down by columns, one part of F a device, partial outputs summed. */
import * as tf from '@tensorflow/tfjs';
import {checkInstance, checkObject} from '../arguments.js';
import type {DeviceRef} from '../device.js';
import {type Flow, runAsync, runSync, toEach} from '../sharding/flow.js';
import type {HostShard} from '../sharding/local_shard.js';
import type {PlacedShard, ShardDevice} from '../sharding/shard_device.js';
import {type HostValues, initOf, readValues, readValuesAsync} from '../sharding/shard_linear.js';
import type {ShardedCore} from '../sharding/sharded_core.js';
import type {ShardPlace} from '../sharding/sharded_weight.js';
import {fromSavedConfig, toSavedConfig} from './config.js';
import {MLP, type MLPConfig, type MLPInit} from './mlp.js';
import {mlpConfigOf} from './mlp_config.js';
import {coreOf, mlpFlow} from './mlp_flow.js';
import {devicesOf, homeOf, oneOrEach, type ShardedLinear} from './sharded_linear.js';
import {checkSpreadClass, partsOver} from './spread_parts.js';

/** Where an MLP is spread to, and how. */
export interface DistributeOptions {
  /** All are used, one part of F each; the same one may come several times. */
  devices: readonly (DeviceRef | string)[];
  /** Parts of F in proportion, one number a device. Default: evenly, the first devices getting one more. */
  shares?: readonly number[] | null;
  /** F is cut at multiples of this only. Default 1; 32 with shares, so that groups of packed weights stay whole. */
  unit?: number;
  /** Where results of `forward` lie. Default: the current backend at each call. */
  home?: DeviceRef | string | null;
}

export interface DistributedMLPConfig extends MLPConfig, DistributeOptions {
  /** All are used, one part of F each; the same one may come several times. Throws ArgumentError for an empty list. */
  devices: readonly (DeviceRef | string)[];
}

/**
 * An `MLP` over several devices. Each computes p_i = act(x . G_i^T) * (x . U_i^T) . D_i^T with its own rows of gate and up and columns of down, and
 * y = sum of p_i, in the order of the devices. Same state keys, options and numbers as `MLP`.
 * Source: MAX `max.nn.linear.DistributedMLP`. Differs: any backends, the same one several times; biases allowed (down's is added once); any F.
 * Throws ArgumentError for no devices, UnsupportedError for a linearCls other than Linear.
 *
 * ```js
 * const mlp = new tfl.DistributedMLP({hiddenDim: 8, feedForwardLength: 13, devices: ['cpu', 'cpu', 'cpu']});
 * mlp.forward(tf.ones([2, 8])).shape; // [2, 8]
 * mlp.downProj.places.map((place) => place.columns); // [[[0, 5]], [[5, 9]], [[9, 13]]]
 * ```
 */
export class DistributedMLP extends MLP {
  static override className = 'TflDistributedMLP';
  private readonly distribution: Pick<DistributedMLPConfig, 'shares' | 'unit' | 'home'>;

  constructor(config: DistributedMLPConfig, init: MLPInit = {}) {
    checkObject('DistributedMLP', config);
    const {shares = null, unit, home, ...rest} = config;
    const where = config.name ?? 'DistributedMLP';
    const devices = devicesOf(config.devices, where);
    checkSpreadClass(config.linearCls, where);
    super(rest, init, partsOver(devices, shares, unit ?? (shares === null ? 1 : 32), homeOf(home)));
    this.distribution = {shares, home: homeOf(home), ...(unit === undefined ? {} : {unit})};
  }

  /** An MLP on one device spread over several: same numbers, same name. It keeps its own weights; dispose it. */
  static of(mlp: MLP, options: DistributeOptions): DistributedMLP {
    checkInstance('DistributedMLP.of: mlp', mlp, MLP, 'an MLP');
    return fromValues(
      mlp,
      mlp.projections().map(([, layer]) => readValues(layer)),
      options,
    );
  }

  /** As `of`, where weights lie on a device that cannot be read synchronously. */
  static async ofAsync(mlp: MLP, options: DistributeOptions): Promise<DistributedMLP> {
    checkInstance('DistributedMLP.ofAsync: mlp', mlp, MLP, 'an MLP');
    return fromValues(mlp, await Promise.all(mlp.projections().map(([, layer]) => readValuesAsync(layer))), options);
  }

  /** Who holds what of all projections, gate and up first. */
  get places(): (ShardPlace & {projection: string})[] {
    return this.spreadProjections.flatMap(([projection, core]) => core.places.map((place) => ({projection, ...place})));
  }

  /** The projections that hold weights: gate_proj and up_proj, or gate_up where they are one record, and down_proj. */
  get spreadProjections(): [string, ShardedCore][] {
    return this.projections().map(([name, layer]) => [name, (layer as ShardedLinear).spread]);
  }

  /** Shard i of a projection lies on another device from here on; windows on it follow. Internal. */
  moveShard(projection: string, i: number, device: ShardDevice, values: HostShard): void {
    const core = this.spreadProjections.find(([name]) => name === projection)?.[1];
    core?.moveShard(i, device, values);
    if (projection !== 'gate_up') return;
    const moved = core?.shards[i] as PlacedShard;
    [this.gateProj, this.upProj].forEach((half, which) => {
      coreOf(half).followShard(i, device, moved, (which * moved.config.outDim) / 2);
    });
  }

  /** y [..., H] on every device. x [..., H] on any device, or one a device with the same numbers, as MAX has it. */
  forwardEach(x: tf.Tensor | readonly tf.Tensor[]): tf.Tensor[] {
    const xs = this.inputsOf(x);
    return runSync(() => this.eachFlow(xs));
  }

  /** As `forwardEach`, for every device. */
  async forwardEachAsync(x: tf.Tensor | readonly tf.Tensor[]): Promise<tf.Tensor[]> {
    const xs = this.inputsOf(x);
    return runAsync(() => this.eachFlow(xs));
  }

  override getConfig(): tf.serialization.ConfigDict {
    return toSavedConfig({...fromSavedConfig<MLPConfig>(super.getConfig()), ...this.distribution});
  }

  private get down(): ShardedCore {
    return coreOf(this.downProj);
  }

  private *eachFlow(xs: readonly tf.Tensor[]): Flow<tf.Tensor[]> {
    const {devices} = this.down.plan;
    return yield* toEach(yield* mlpFlow(this, xs, (devices[0] as ShardDevice).name), devices);
  }

  private inputsOf(x: tf.Tensor | readonly tf.Tensor[]): readonly tf.Tensor[] {
    return oneOrEach(x, this.down.plan.devices.length, this.name);
  }
}

function fromValues(mlp: MLP, values: readonly HostValues[], options: DistributeOptions): DistributedMLP {
  const config = mlpConfigOf(mlp);
  const init = Object.fromEntries(
    mlp.projections().map(([child], i) => {
      const {record, ...rest} = values[i] as HostValues;
      return [child, initOf({words: record.words, ...rest})];
    }),
  );
  return new DistributedMLP({...config, ...options}, init);
}

tf.serialization.registerClass(DistributedMLP as unknown as tf.serialization.SerializableConstructor<DistributedMLP>);

/**
 * A `DistributedMLP`, as `tf.layers` factories make layers.
 *
 * ```js
 * tfl.distributedMLP({hiddenDim: 4, feedForwardLength: 6, devices: ['cpu', 'cpu']}).countParams(); // 72
 * ```
 */
export function distributedMLP(config: DistributedMLPConfig): DistributedMLP {
  return new DistributedMLP(config);
}
