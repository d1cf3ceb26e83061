/** What a device must be able to do to hold shards. tf.js backends of this process do; a device on another machine can. */
import type * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import type {WeightLayout} from '../../kernels/layout.js';
import type {CoreConfig} from '../layers/core_config.js';
import type {HostShard} from './local_shard.js';
import type {HostRecord} from './record.js';

/** A value that lives on a device; only its device knows what is inside. tf.js's scopes free it where it is a tensor, else nobody: it is collected. */
export type Held = object;

/** A weight and bias that lie on a device. */
export interface PlacedShard {
  /** Shape, layout, name; the device as far as it is a backend of this process. */
  readonly config: CoreConfig;
  /** Bytes of its own on the device, weight and bias. */
  readonly byteLength: number;
  /** Bytes of the weight, its own or not. */
  readonly weightBytes: number;
  /** A window on what another shard holds. */
  readonly isView: boolean;
  /** Was it freed? */
  readonly isGone: boolean;
  /** tf.js's variables, where it has some: saved, trained and freed with the layer. */
  readonly trainableWeights: tf.LayerVariable[];
  readonly nonTrainableWeights: tf.LayerVariable[];
  /** Another object after each change of the bias; undefined without one. */
  readonly biasVersion: object | undefined;
  /** The bias on a backend of this process; the caller disposes it. Throws DeviceError where the device has to be awaited. */
  biasOn(home: string): tf.Tensor;
  /** The weight on the host. Throws DeviceError where the device has to be awaited. */
  readRecord(): HostRecord;
  readRecordAsync(): Promise<HostRecord>;
  readAsync(): Promise<HostShard>;
  /** Other words of the same layout; float32 numbers as 32-bit codes. */
  writeWords(words: Int32Array): void;
  writeBias(values: Float32Array): void;
  /** Another record of the same shape. */
  replaceRecord(layout: WeightLayout, words: Int32Array, origin: null): void;
}

/** What follows the products of a run: an activation, or the gating of gate and up. */
export interface After {
  readonly activation?: Activation | null;
  /** act(first half) * second half; the halves are two shards' results, or those of one shard's rows. */
  readonly gated?: Activation;
  /** Of the gating; null: none. */
  readonly limit?: number | null;
}

/** Calls on one device happen in order; calls on several may overlap. `Async` variants never throw synchronously. */
export interface ShardDevice<Shard extends PlacedShard = PlacedShard> {
  readonly name: string;
  /** Does `run` return when the work is done (cpu, wasm), not when it is submitted? Such devices are given theirs last. */
  readonly blocks: boolean;
  /** Puts a weight and bias there. */
  place(config: CoreConfig): Shard;
  /** Rows [begin, begin + outDim) of a shard there as a shard that shares them. */
  window(of: Shard, begin: number, outDim: number, name: string): Shard;
  /** x of this process to the device. Throws DeviceError where only `sendAsync` can. */
  send(x: tf.Tensor): Held;
  sendAsync(x: tf.Tensor): Promise<Held>;
  /** x . W^T + b of each shard with its x [M, columns], side by side, and what follows. Throws DeviceLostError. */
  run(shards: readonly Shard[], xs: readonly Held[], after: After): Held;
  /** Rows of the weight (null: all) as float32 [rows, columns]. */
  rows(shard: Shard, rows: readonly number[] | null): Held;
  /** A result as a tensor on `home`, a backend of this process. Throws DeviceError where only `gatherAsync` can. */
  gather(y: Held, home: string): tf.Tensor;
  gatherAsync(y: Held, home: string): Promise<tf.Tensor>;
  /** Frees a shard. */
  release(shard: Shard): void;
}
