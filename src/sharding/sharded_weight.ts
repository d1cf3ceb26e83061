/** A weight [N, K] that lies on several devices, with the reading side of one that lies on one. */
import * as tf from '@tensorflow/tfjs';
import type {WeightLayout} from '../../kernels/layout.js';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {type Range, sliceWords} from '../../kernels/slice.js';
import {ArgumentError} from '../errors.js';
import {denseLayout} from '../layers/dense_matmul.js';
import {DenseWeight} from '../layers/dense_weight.js';
import type {LocalShard} from './local_shard.js';
import {putTogether} from './pieces.js';
import {type HostRecord, joinRecords} from './record.js';
import {indicesOf} from './split.js';
import type {Cut, ShardingStrategy} from './strategy.js';
import {copyTo} from './transfer.js';

/** A weight and where its parts lie. */
export interface ShardPlace {
  /** Backend name. */
  readonly device: string;
  readonly rows: readonly Range[];
  readonly columns: readonly Range[];
  /** Weight and bias, as stored. */
  readonly byteLength: number;
}

export class ShardedWeight {
  constructor(
    /** Layout of the whole weight; null: float32. Set by the layer where its record is replaced. */
    public layoutOfWhole: WeightLayout | null,
    readonly shape: [number, number],
    readonly strategy: ShardingStrategy,
    readonly cuts: readonly Cut[],
    private readonly shards: readonly LocalShard[],
  ) {}

  /** Shard i, for layers over the same weight. Internal. */
  shardAt(i: number): LocalShard | undefined {
    return this.shards[i];
  }

  /** N */
  get outDim(): number {
    return this.shape[0];
  }

  /** K */
  get inDim(): number {
    return this.shape[1];
  }

  /** Bytes of the weight on all devices together. */
  get byteLength(): number {
    return this.shards.reduce((sum, shard) => sum + shard.weight.byteLength, 0);
  }

  /** float32 [N, K] on the current backend, rows and columns as in the file. Throws DeviceError where a device has to be awaited. */
  dequantize(): tf.Tensor2D {
    return tf.tidy(() => {
      const home = tf.getBackend();
      const {axis} = this.strategy;
      if (axis === null) return copyTo((this.shards[0] as LocalShard).unpack(), home) as tf.Tensor2D;
      const parts = this.shards.map((shard) => copyTo(shard.unpack(), home));
      const ranges = this.cuts.map((cut) => (axis === 0 ? cut.rows : cut.columns));
      return putTogether(parts, ranges, axis) as tf.Tensor2D;
    });
  }

  /**
   * Chosen rows as float32 on the current backend: indices [...] -> [..., K]. Each row is read on the device that holds it: an embedding
   * lookup on a head that is spread. Throws ArgumentError for an index outside [0, N).
   */
  dequantizeRows(indices: tf.Tensor | readonly number[]): tf.Tensor {
    const shape = indices instanceof tf.Tensor ? indices.shape : [indices.length];
    const rows = indices instanceof tf.Tensor ? Array.from(indices.dataSync()) : [...indices];
    const bad = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= this.outDim);
    if (bad !== undefined)
      throw new ArgumentError({where: 'dequantizeRows', expected: `row indices in [0, ${this.outDim})`, received: String(bad)});
    return tf.tidy(() => tf.reshape(rows.length === 0 ? tf.zeros([0, this.inDim]) : this.rowsOf(rows), [...shape, this.inDim]));
  }

  /** A part as a weight of its own on the current backend, in the file's row and column order; dispose it. */
  slice({rows = [0, this.outDim], columns = [0, this.inDim]}: {rows?: Range; columns?: Range}): QuantizedWeight | DenseWeight {
    const {layout, words} = this.toRecord();
    const cut = sliceWords(layout, words, rows, columns);
    if (this.layoutOfWhole !== null) return QuantizedWeight.fromWords(cut.layout, cut.words);
    return new DenseWeight(tf.tensor2d(new Float32Array(cut.words.buffer), [cut.layout.outDim, cut.layout.inDim]));
  }

  /** The whole weight on the host. float32 numbers are words of 32-bit codes. Throws DeviceError where a device has to be awaited. */
  toRecord(): HostRecord {
    return this.joined(this.shards.map((shard) => shard.readRecord()));
  }

  async toRecordAsync(): Promise<HostRecord> {
    return this.joined(await Promise.all(this.shards.map((shard) => shard.readRecordAsync())));
  }

  private joined(records: readonly HostRecord[]): HostRecord {
    const layout = this.layoutOfWhole ?? denseLayout(this.outDim, this.inDim);
    return {layout, words: joinRecords(layout, this.cuts, records)};
  }

  private rowsOf(rows: readonly number[]): tf.Tensor {
    const home = tf.getBackend();
    const {axis} = this.strategy;
    if (axis === null) return copyTo((this.shards[0] as LocalShard).unpackRows(rows), home);
    if (axis === 1) {
      const parts = this.shards.map((shard) => copyTo(shard.unpackRows(rows), home));
      return putTogether(
        parts,
        this.cuts.map((cut) => cut.columns),
        1,
      );
    }
    // Shard by shard, then back into the order asked for.
    const places: number[] = [];
    const parts: tf.Tensor[] = [];
    this.shards.forEach((shard, i) => {
      const local = new Map(indicesOf((this.cuts[i] as Cut).rows).map((row, at) => [row, at]));
      const mine = rows.flatMap((row, at) => (local.has(row) ? [at] : []));
      if (mine.length === 0) return;
      places.push(...mine);
      parts.push(copyTo(shard.unpackRows(mine.map((at) => local.get(rows[at] as number) as number)), home));
    });
    const back = new Int32Array(rows.length);
    places.forEach((at, i) => (back[at] = i));
    return tf.gather(parts.length === 1 ? (parts[0] as tf.Tensor) : tf.concat(parts, 0), tf.tensor1d(back, 'int32'));
  }
}
