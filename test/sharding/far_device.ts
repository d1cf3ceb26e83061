/** A device that is not of this process, as far as a spec can have one: everything that goes there or comes back is a message. */
import * as tf from '@tensorflow/tfjs';
import {RowReader} from '../../kernels/cpu/row.js';
import type {WeightLayout} from '../../kernels/layout.js';
import {sectionsOf} from '../../kernels/layout.js';
import {partsOf} from '../../kernels/words.js';
import {onDevice} from '../../src/device.js';
import {DeviceLostError, DeviceRef} from '../../src/index.js';
import type {CoreConfig} from '../../src/layers/core_config.js';
import {denseLayout} from '../../src/layers/dense_matmul.js';
import type {HostShard} from '../../src/sharding/local_shard.js';
import type {After, Held, PlacedShard, ShardDevice} from '../../src/sharding/shard_device.js';

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

const ACTIVATIONS: Readonly<Record<string, (v: number) => number>> = {
  silu: (v) => v / (1 + Math.exp(-v)),
  relu: (v) => Math.max(0, v),
};

class FarShard implements PlacedShard {
  readonly isView = false;
  readonly trainableWeights: tf.LayerVariable[] = [];
  readonly nonTrainableWeights: tf.LayerVariable[] = [];
  isGone = false;
  biasVersion: object | undefined;
  private words: Int32Array;
  private bias: Float32Array | null;

  constructor(readonly config: CoreConfig) {
    this.words = structuredClone(config.words) ?? new Int32Array(sectionsOf(this.layout).length);
    this.bias = config.hasBias ? (structuredClone(config.bias) ?? new Float32Array(config.outDim)) : null;
    this.biasVersion = this.bias ?? undefined;
  }

  get layout(): WeightLayout {
    return this.config.layout ?? denseLayout(this.config.outDim, this.config.inDim);
  }

  get byteLength(): number {
    return this.isGone ? 0 : this.weightBytes + (this.bias?.byteLength ?? 0);
  }

  get weightBytes(): number {
    return this.words.byteLength;
  }

  biasOn(home: string): tf.Tensor {
    return onDevice(new DeviceRef(home), () => tf.tensor1d(structuredClone(this.bias as Float32Array)));
  }

  readRecord() {
    return structuredClone({layout: this.layout, words: this.words});
  }

  async readRecordAsync() {
    return this.readRecord();
  }

  async readAsync(): Promise<HostShard> {
    return {...this.readRecord(), bias: structuredClone(this.bias)};
  }

  writeWords(words: Int32Array): void {
    this.words = structuredClone(words);
  }

  writeBias(values: Float32Array): void {
    this.bias = structuredClone(values);
    this.biasVersion = this.bias;
  }

  replaceRecord(layout: WeightLayout, words: Int32Array): void {
    this.config.layout = layout;
    this.writeWords(words);
  }

  weight(): Matrix {
    const {outDim, inDim} = this.layout;
    const reader = new RowReader(this.layout, partsOf(this.layout, this.words));
    const values = new Float64Array(outDim * inDim);
    const row = new Float32Array(inDim);
    for (let n = 0; n < outDim; n++) {
      reader.read(n, row);
      values.set(row, n * inDim);
    }
    return {rows: outDim, columns: inDim, values};
  }

  product(x: Matrix): Matrix {
    const {rows: n, columns: k, values} = this.weight();
    const y = new Float64Array(x.rows * n);
    for (let i = 0; i < x.rows; i++) {
      for (let j = 0; j < n; j++) {
        let sum: number = this.bias?.[j] ?? 0;
        for (let c = 0; c < k; c++) sum += (x.values[i * k + c] as number) * (values[j * k + c] as number);
        y[i * n + j] = sum;
      }
    }
    return {rows: x.rows, columns: n, values: y};
  }
}

export class FarDevice implements ShardDevice<FarShard> {
  readonly blocks = false;
  /** Calls that reached it. */
  runs = 0;
  /** Shards that it holds. */
  readonly held = new Set<FarShard>();
  private isLost = false;

  constructor(readonly name: string) {}

  lose(): void {
    this.isLost = true;
  }

  place(config: CoreConfig): FarShard {
    this.checkThere();
    const shard = new FarShard({...config, device: null});
    this.held.add(shard);
    return shard;
  }

  window(of: FarShard, begin: number, outDim: number, name: string): FarShard {
    const words = of.weight().values.slice(begin * of.config.inDim, (begin + outDim) * of.config.inDim);
    return new FarShard({...of.config, name, outDim, layout: null, words: new Int32Array(Float32Array.from(words).buffer)});
  }

  send(x: tf.Tensor): Held {
    this.checkThere();
    return matrix(x, x.dataSync());
  }

  async sendAsync(x: tf.Tensor): Promise<Held> {
    this.checkThere();
    return matrix(x, await x.data());
  }

  run(shards: readonly FarShard[], xs: readonly Held[], {activation = null, gated}: After): Held {
    this.checkThere();
    this.runs++;
    const ys = shards.map((shard, i) => shard.product(xs[i] as Matrix));
    const [first, second] = ys as [Matrix, Matrix | undefined];
    if (gated !== undefined) {
      const act = ACTIVATIONS[gated] as (v: number) => number;
      const up = second as Matrix;
      return {...first, values: first.values.map((v, i) => act(v) * (up.values[i] as number))};
    }
    return activation === null ? first : {...first, values: first.values.map(ACTIVATIONS[activation] as (v: number) => number)};
  }

  rows(shard: FarShard, rows: readonly number[] | null): Held {
    this.checkThere();
    const whole = shard.weight();
    if (rows === null) return whole;
    const {columns: k} = whole;
    const values = new Float64Array(rows.length * k);
    rows.forEach((row, i) => values.set(whole.values.subarray(row * k, (row + 1) * k), i * k));
    return {rows: rows.length, columns: k, values};
  }

  gather(y: Held, home: string): tf.Tensor {
    this.checkThere();
    const {rows, columns, values} = structuredClone(y as Matrix);
    return onDevice(new DeviceRef(home), () => tf.tensor2d(Float32Array.from(values), [rows, columns]));
  }

  async gatherAsync(y: Held, home: string): Promise<tf.Tensor> {
    return this.gather(y, home);
  }

  release(shard: FarShard): void {
    shard.isGone = true;
    this.held.delete(shard);
  }

  private checkThere(): void {
    if (this.isLost) throw new DeviceLostError(this.name, new Error('no route to host'));
  }
}

function matrix({shape}: tf.Tensor, values: ArrayLike<number>): Matrix {
  return {rows: shape[0] as number, columns: shape[1] as number, values: Float64Array.from(values)};
}
