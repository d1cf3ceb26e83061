/** A weight [N, K] that lies on several devices, with the reading side of one that lies on one. */
import * as tf from '@tensorflow/tfjs';
import type {WeightLayout} from '../../kernels/layout.js';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {checkIndices, checkRanges} from '../../kernels/rows.js';
import {type Range, sliceWords} from '../../kernels/slice.js';
import {DeviceRef, onDevice} from '../device.js';
import {denseLayout} from '../layers/dense_matmul.js';
import {DenseWeight} from '../layers/dense_weight.js';
import {type Flow, gatherEach, runAsync, runSync} from './flow.js';
import {putTogether} from './pieces.js';
import {type HostRecord, joinRecords} from './record.js';
import type {Held, PlacedShard, ShardDevice} from './shard_device.js';
import type {Cut, ShardingStrategy} from './strategy.js';

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
    /** The layer's own lists, which it keeps up to date. */
    private readonly shards: readonly PlacedShard[],
    private readonly devices: readonly ShardDevice[],
  ) {}

  /** Shard i, for layers over the same weight. Internal. */
  shardAt(i: number): PlacedShard | undefined {
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
    return this.shards.reduce((sum, shard) => sum + shard.weightBytes, 0);
  }

  /** float32 [N, K] on the current backend, rows and columns as in the file. Throws DeviceError where a device has to be awaited. */
  dequantize(): tf.Tensor2D {
    return runSync(() => this.wholeFlow(tf.getBackend())) as tf.Tensor2D;
  }

  /** As `dequantize`, for every device. */
  async dequantizeAsync(): Promise<tf.Tensor2D> {
    const home = tf.getBackend();
    return (await runAsync(() => this.wholeFlow(home))) as tf.Tensor2D;
  }

  /**
   * Chosen rows as float32 on the current backend: indices [...] -> [..., K]. Each row is read on the device that holds it: an embedding
   * lookup on a head that is spread. Throws ArgumentError for an index outside [0, N), DeviceError where a device has to be awaited.
   */
  dequantizeRows(indices: tf.Tensor | readonly number[]): tf.Tensor {
    checkIndices(indices, this.outDim);
    const rows = this.rowsOf(indices instanceof tf.Tensor ? indices.dataSync() : indices);
    return runSync(() => this.rowsFlow(rows, shapeOf(indices), tf.getBackend()));
  }

  /** As `dequantizeRows`, for every device. */
  async dequantizeRowsAsync(indices: tf.Tensor | readonly number[]): Promise<tf.Tensor> {
    const home = tf.getBackend();
    checkIndices(indices, this.outDim);
    const rows = this.rowsOf(indices instanceof tf.Tensor ? await indices.data() : indices);
    return runAsync(() => this.rowsFlow(rows, shapeOf(indices), home));
  }

  /** A part as a weight of its own on the current backend, in the file's row and column order; dispose it. */
  slice(part: {rows?: Range; columns?: Range} = {}): QuantizedWeight | DenseWeight {
    const ranges = checkRanges(part, this.shape);
    return this.cut(this.toRecord(), ranges);
  }

  /** As `slice`, for every device. */
  async sliceAsync(part: {rows?: Range; columns?: Range} = {}): Promise<QuantizedWeight | DenseWeight> {
    const ranges = checkRanges(part, this.shape);
    const home = new DeviceRef(tf.getBackend());
    const record = await this.toRecordAsync();
    return onDevice(home, () => this.cut(record, ranges));
  }

  /** The whole weight on the host. float32 numbers are words of 32-bit codes. Throws DeviceError where a device has to be awaited. */
  toRecord(): HostRecord {
    return this.joined(this.shards.map((shard) => shard.readRecord()));
  }

  async toRecordAsync(): Promise<HostRecord> {
    return this.joined(await Promise.all(this.shards.map((shard) => shard.readRecordAsync())));
  }

  private cut({layout, words}: HostRecord, {rows, columns}: {rows: Range; columns: Range}): QuantizedWeight | DenseWeight {
    const cut = sliceWords(layout, words, rows, columns);
    if (this.layoutOfWhole !== null) return QuantizedWeight.fromWords(cut.layout, cut.words);
    return new DenseWeight(tf.tensor2d(new Float32Array(cut.words.buffer), [cut.layout.outDim, cut.layout.inDim]));
  }

  private joined(records: readonly HostRecord[]): HostRecord {
    const layout = this.layoutOfWhole ?? denseLayout(this.outDim, this.inDim);
    return {layout, words: joinRecords(layout, this.cuts, records)};
  }

  /** What a tensor holds, in whole numbers as tf.gather takes it. */
  private rowsOf(values: ArrayLike<number>): number[] {
    const rows = Array.from(values, Math.trunc);
    checkIndices(rows, this.outDim);
    return rows;
  }

  private *wholeFlow(home: string): Flow<tf.Tensor> {
    const {axis} = this.strategy;
    if (axis === null) return (yield* this.gathered([0], (device, shard) => device.rows(shard, null), home))[0] as tf.Tensor;
    const all = this.shards.map((_, i) => i);
    const parts = yield* this.gathered(all, (device, shard) => device.rows(shard, null), home);
    const ranges = this.cuts.map((cut) => (axis === 0 ? cut.rows : cut.columns));
    return onDevice(new DeviceRef(home), () => putTogether(parts, ranges, axis));
  }

  /** Rows as [..., K] for indices of a shape [...]. */
  private *rowsFlow(rows: readonly number[], shape: readonly number[], home: string): Flow<tf.Tensor> {
    const here = new DeviceRef(home);
    const values = rows.length === 0 ? onDevice(here, () => tf.zeros([0, this.inDim])) : yield* this.matrixFlow(rows, home);
    return onDevice(here, () => tf.reshape(values, [...shape, this.inDim]));
  }

  /** [rows, K] */
  private *matrixFlow(rows: readonly number[], home: string): Flow<tf.Tensor> {
    const {axis} = this.strategy;
    if (axis === null) return (yield* this.gathered([0], (device, shard) => device.rows(shard, rows), home))[0] as tf.Tensor;
    if (axis === 1) {
      const all = this.shards.map((_, i) => i);
      const parts = yield* this.gathered(all, (device, shard) => device.rows(shard, rows), home);
      const ranges = this.cuts.map((cut) => cut.columns);
      return onDevice(new DeviceRef(home), () => putTogether(parts, ranges, 1));
    }
    // Shard by shard, then back into the order asked for.
    const asked = this.cuts.flatMap((cut, i) => {
      const local = rows.map((row) => placeIn(cut.rows, row));
      const places = local.flatMap((own, at) => (own < 0 ? [] : [at]));
      return places.length === 0 ? [] : [{i, places, own: places.map((at) => local[at] as number)}];
    });
    const own = new Map(asked.map((part) => [part.i, part.own]));
    const parts = yield* this.gathered([...own.keys()], (device, shard, i) => device.rows(shard, own.get(i) as number[]), home);
    const back = new Int32Array(rows.length);
    asked.flatMap(({places}) => places).forEach((at, i) => (back[at] = i));
    return onDevice(new DeviceRef(home), () =>
      tf.gather(parts.length === 1 ? (parts[0] as tf.Tensor) : tf.concat(parts, 0), tf.tensor1d(back, 'int32')),
    );
  }

  /** What some shards read, on `home`. */
  private *gathered(
    asked: readonly number[],
    read: (device: ShardDevice, shard: PlacedShard, i: number) => Held,
    home: string,
  ): Flow<tf.Tensor[]> {
    const devices = asked.map((i) => this.devices[i] as ShardDevice);
    const held = asked.map((i, at) => read(devices[at] as ShardDevice, this.shards[i] as PlacedShard, i));
    return yield* gatherEach(devices, held, home);
  }
}

function shapeOf(indices: tf.Tensor | readonly number[]): readonly number[] {
  return indices instanceof tf.Tensor ? indices.shape : [indices.length];
}

/** Place of a row among those of some ranges, one after the other; -1 where none has it. */
function placeIn(ranges: readonly Range[], row: number): number {
  let before = 0;
  for (const [begin, end] of ranges) {
    if (row >= begin && row < end) return before + row - begin;
    before += end - begin;
  }
  return -1;
}
