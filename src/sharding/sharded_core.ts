/** The op layer inside a Linear that is spread: places the shards, moves x to them and their results home. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import {activateTensor} from '../../kernels/gradients.js';
import type {WeightLayout} from '../../kernels/layout.js';
import {valueWords} from '../../kernels/words.js';
import {DeviceRef, onDevice} from '../device.js';
import type {CoreConfig} from '../layers/core_config.js';
import {denseLayout} from '../layers/dense_matmul.js';
import {weightScaleOf} from '../layers/float8.js';
import {LinearCore} from '../layers/linear_core.js';
import type {LayerOrigin} from '../layers/origin.js';
import {checkInput} from '../layers/shapes.js';
import {LocalDevice} from './device.js';
import {type Flow, gatherEach, inOrder, runAsync, runSync, sendEach, toEach} from './flow.js';
import {floats, type HostShard, LocalShard} from './local_shard.js';
import {putTogether, takeRanges} from './pieces.js';
import {biasOf, placeShards} from './place.js';
import {cutRecord} from './record.js';
import {roundInput} from './round_input.js';
import type {Held, PlacedShard, ShardDevice} from './shard_device.js';
import {ShardedWeight, type ShardPlace} from './sharded_weight.js';
import type {Cut, ShardingStrategy} from './strategy.js';
import {backendNameOf} from './transfer.js';

/** How a weight is spread. */
export interface ShardPlan {
  readonly strategy: ShardingStrategy;
  /** One a shard; the same one may come several times. */
  readonly devices: readonly ShardDevice[];
  /** Backend of results; null: the current one at each call. */
  readonly home: string | null;
  /** Shards that are there already: windows on another layer's. */
  readonly shards?: readonly PlacedShard[];
}

export class ShardedCore extends LinearCore {
  static override className = 'TflShardedCore';
  readonly plan: ShardPlan;
  readonly cuts: readonly Cut[];
  readonly shards: readonly PlacedShard[];
  readonly shardedWeight: ShardedWeight;
  /** The bias put together, and what it was made of. */
  private whole: {bias: tf.Tensor1D; from: readonly (object | undefined)[]; home: string} | null = null;

  constructor(config: CoreConfig, plan: ShardPlan) {
    const {words: _words, bias: _bias, ...bare} = config;
    const cuts = plan.strategy.cuts([config.outDim, config.inDim]);
    const devices = [...plan.devices];
    const shards = [...(plan.shards ?? placeShards(config, devices, cuts))];
    const shardedWeight = new ShardedWeight(config.layout, [config.outDim, config.inDim], plan.strategy, cuts, shards, devices);
    super({...bare, hasBias: config.hasBias, device: null, spread: shardedWeight});
    this.plan = {...plan, devices};
    this.cuts = cuts;
    this.shards = shards;
    this.shardedWeight = shardedWeight;
    this.listVariables();
  }

  /** The whole bias on the current backend, or null. Put together again where a shard's has changed; do not dispose. */
  override get bias(): tf.Tensor1D | null {
    if (!this.config.hasBias) return null;
    const home = tf.getBackend();
    const from = this.shards.map((shard) => shard.biasVersion);
    const known = this.whole?.home === home && !this.whole.bias.isDisposed && this.whole.from.every((id, i) => id === from[i]);
    if (!known) {
      const bias = tf.keep(tf.tidy(() => this.gatherBias(home)));
      this.whole?.bias.dispose();
      this.whole = {bias, from, home};
    }
    return (this.whole as NonNullable<typeof this.whole>).bias;
  }

  private gatherBias(home: string): tf.Tensor1D {
    if (this.plan.strategy.axis !== 0) return (this.shards[0] as PlacedShard).biasOn(home) as tf.Tensor1D;
    const parts = this.shards.map((shard) => shard.biasOn(home));
    return putTogether(
      parts,
      this.cuts.map((cut) => cut.rows),
      0,
    ) as tf.Tensor1D;
  }

  override weightScale(): tf.Tensor | null {
    const {float8, layout} = this.config;
    return float8 === null || layout === null ? null : weightScaleOf(float8, layout, this.shardedWeight.toRecord().words);
  }

  override get isView(): boolean {
    return this.shards.every((shard) => shard.isView);
  }

  override dispose(): ReturnType<tf.layers.Layer['dispose']> {
    const result = super.dispose();
    if (result.refCountAfterDispose === 0) {
      this.shards.forEach((shard, i) => this.deviceAt(i).release(shard));
      this.whole?.bias.dispose();
      this.whole = null;
    }
    return result;
  }

  /** Where each shard lies. */
  get places(): ShardPlace[] {
    return this.shards.map((shard, i) => {
      const {rows, columns} = this.cuts[i] as Cut;
      return {device: this.deviceAt(i).name, rows, columns, byteLength: shard.byteLength};
    });
  }

  /** Shard i lies on another device from here on. Its values are given: the old device may be gone. */
  moveShard(i: number, device: ShardDevice, values: HostShard): void {
    const shard = this.shards[i] as PlacedShard;
    if (shard instanceof LocalShard && device instanceof LocalDevice) {
      // The variables that tf.js knows stay.
      shard.moveTo(device.ref, values);
    } else {
      const {words, bias} = values;
      const {view: _view, ...config} = shard.config;
      (this.shards as PlacedShard[])[i] = device.place({...config, words, ...(bias === null ? {} : {bias})});
      this.listVariables();
      this.deviceAt(i).release(shard);
    }
    (this.plan.devices as ShardDevice[])[i] = device;
  }

  /** A window on rows from `begin` of another layer's shard i, which has moved. */
  followShard(i: number, device: ShardDevice, of: PlacedShard, begin: number): void {
    const shard = this.shards[i] as PlacedShard;
    if (shard instanceof LocalShard && device instanceof LocalDevice && (shard.config.view?.of as object | undefined) === of)
      shard.config.device = device.ref;
    else {
      (this.shards as PlacedShard[])[i] = device.window(of, begin, shard.config.outDim, shard.config.name);
      this.deviceAt(i).release(shard);
    }
    (this.plan.devices as ShardDevice[])[i] = device;
  }

  deviceAt(i: number): ShardDevice {
    return this.plan.devices[i] as ShardDevice;
  }

  get home(): string {
    return this.plan.home ?? tf.getBackend();
  }

  override forward(x: tf.Tensor): tf.Tensor {
    return runSync(() => this.flow([x], this.home));
  }

  forwardAsync(x: tf.Tensor): Promise<tf.Tensor> {
    const {home} = this;
    return runAsync(() => this.flow([x], home));
  }

  override product(x: tf.Tensor, activation: Activation | null): tf.Tensor {
    return runSync(() => this.productFlow([x], activation, this.home));
  }

  /** The whole y on every device. `xs`: one x for all, or one a device. */
  *eachFlow(xs: readonly tf.Tensor[]): Flow<tf.Tensor[]> {
    const {devices} = this.plan;
    return yield* toEach(yield* this.flow(xs, this.deviceAt(0).name), devices);
  }

  /** x [..., K] -> the whole y [..., N] on `home`. `xs`: one x for all shards, or one a shard. */
  *flow(xs: readonly tf.Tensor[], home: string): Flow<tf.Tensor> {
    const {activation} = this.config;
    const y = yield* this.productFlow(xs, activation?.fused ?? null, home);
    return activation === null || activation.fused !== null ? y : onDevice(new DeviceRef(home), () => activation.apply(y));
  }

  *productFlow(xs: readonly tf.Tensor[], activation: Activation | null, home: string): Flow<tf.Tensor> {
    const inputs = this.inputs(xs);
    const lead = (xs[0] as tf.Tensor).shape.slice(0, -1);
    const asked = this.asked(home);
    const devices = asked.map((i) => this.deviceAt(i));
    const held = yield* sendEach(
      devices,
      asked.map((i) => inputs[i] as tf.Tensor),
    );
    const after = {activation: this.activationOfShards(activation)};
    const ys = inOrder(devices, (at) =>
      (devices[at] as ShardDevice).run([this.shards[asked[at] as number] as PlacedShard], [held[at] as Held], after),
    );
    const parts = yield* gatherEach(devices, ys, home);
    return onDevice(new DeviceRef(home), () => tf.reshape(this.combine(parts, asked, activation), [...lead, this.config.outDim]));
  }

  /** Shards that have something to say: not the empty ones, and only the nearest where every device has everything. */
  asked(home: string): number[] {
    const {devices, strategy} = this.plan;
    if (strategy.axis === null)
      return [
        Math.max(
          0,
          devices.findIndex((device) => device.name === home),
        ),
      ];
    const full = this.shards.flatMap(({config}, i) => (config.outDim > 0 && (config.inDim > 0 || config.hasBias) ? [i] : []));
    return full.length > 0 ? full : [0];
  }

  /** What each shard reads of x [..., K]: its columns, [M, columns], rounded as the whole layer would round it. */
  inputs(xs: readonly tf.Tensor[]): tf.Tensor[] {
    const whole = new Map<tf.Tensor, tf.Tensor>();
    for (const x of xs) if (!whole.has(x)) whole.set(x, this.wholeInput(x));
    return this.cuts.map((cut, i) => takeRanges(whole.get(xs[xs.length === 1 ? 0 : i] as tf.Tensor) as tf.Tensor, cut.columns, 1));
  }

  private wholeInput(x: tf.Tensor): tf.Tensor2D {
    const {outDim, inDim} = this.config;
    checkInput(x, outDim, inDim, this.owner);
    const q = this.inputQuantization;
    return onDevice(new DeviceRef(backendNameOf(x)), () => {
      const rows = tf.reshape(x, [x.shape.slice(0, -1).reduce((a, b) => a * b, 1), inDim]) as tf.Tensor2D;
      return q === null ? rows : roundInput(rows, q);
    });
  }

  /** Before a sum there is no activation yet. */
  activationOfShards(activation: Activation | null): Activation | null {
    return this.plan.strategy.axis === 1 ? null : activation;
  }

  /** Results of the asked shards, on one backend, as the whole y [M, N]. Summed in the order of the shards. */
  combine(ys: readonly tf.Tensor[], asked: readonly number[], activation: Activation | null): tf.Tensor {
    const {axis} = this.plan.strategy;
    if (axis === null) return ys[0] as tf.Tensor;
    if (axis === 0)
      return putTogether(
        ys,
        asked.map((i) => (this.cuts[i] as Cut).rows),
        1,
      );
    const sum = ys.reduce((a, b) => tf.add(a, b));
    return activation === null ? sum : activateTensor(activation, sum);
  }

  override weightTensor(): tf.Tensor {
    const {words} = this.shardedWeight.toRecord();
    const {layout, outDim, inDim} = this.config;
    return layout === null ? tf.tensor2d(floats(words), [outDim, inDim]) : tf.tensor1d(words, 'int32');
  }

  override setWeightTensor(tensor: tf.Tensor): void {
    const record = {
      layout: this.config.layout ?? denseLayout(this.config.outDim, this.config.inDim),
      words: valueWords(tensor.dtype, tensor.dataSync()),
    };
    this.shards.forEach((shard, i) => {
      const {words} = cutRecord(record, this.cuts[i] as Cut);
      shard.writeWords(words);
    });
  }

  /** As LinearCore's; each shard gets its part. */
  override replaceRecord(layout: WeightLayout, words: Int32Array, origin: LayerOrigin | null): void {
    this.shards.forEach((shard, i) => {
      const part = cutRecord({layout, words}, this.cuts[i] as Cut);
      shard.replaceRecord(part.layout, part.words, null);
    });
    this.shardedWeight.layoutOfWhole = layout;
    Object.assign(this.config, {layout, origin});
    this.listVariables();
  }

  /** The shards' variables are this layer's: tf.js saves, trains and frees them with it. */
  private listVariables(): void {
    const own = this.inputScaleVariable;
    this.trainableWeights = this.shards.flatMap((shard) => shard.trainableWeights);
    this.nonTrainableWeights = [...this.shards.flatMap((shard) => shard.nonTrainableWeights), ...(own === null ? [] : [own])];
  }

  override setBias(bias: tf.Tensor): void {
    const values = Float32Array.from(bias.dataSync());
    this.shards.forEach((shard, i) => {
      const own = biasOf(values, this.cuts[i] as Cut);
      if (own !== null) shard.writeBias(own);
    });
  }
}
