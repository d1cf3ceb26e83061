/** A shard on a backend of this process: its weight and bias are variables of tf.js, saved and trained as such. */
import * as tf from '@tensorflow/tfjs';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {sliceWords} from '../../kernels/slice.js';
import {valueWords} from '../../kernels/words.js';
import {type DeviceRef, onDevice} from '../device.js';
import {denseLayout} from '../layers/dense_matmul.js';
import type {DenseWeight} from '../layers/dense_weight.js';
import {LinearCore} from '../layers/linear_core.js';
import type {HostRecord} from './record.js';
import type {PlacedShard} from './shard_device.js';
import {copyTo} from './transfer.js';

/** What a shard holds, on the host. */
export interface HostShard extends HostRecord {
  /** [rows], or null without one. */
  readonly bias: Float32Array | null;
}

export class LocalShard extends LinearCore implements PlacedShard {
  static override className = 'TflLocalShard';

  /** Bytes of its own: a view has only its bias. */
  get byteLength(): number {
    return (this.isView ? 0 : this.weight.byteLength) + (this.bias === null ? 0 : this.bias.size * 4);
  }

  get weightBytes(): number {
    return this.weight.byteLength;
  }

  get biasVersion(): object | undefined {
    return this.bias?.dataId;
  }

  biasOn(home: string): tf.Tensor {
    return copyTo(this.bias as tf.Tensor, home);
  }

  /** Were its variables freed? */
  get isGone(): boolean {
    return (this.weight as QuantizedWeight | DenseWeight).isDisposed;
  }

  /** float32 [rows, columns] on the shard's device. */
  unpack(): tf.Tensor2D {
    return onDevice(this.config.device, () =>
      this.windowed(
        (rows) => this.weight.dequantizeRows(rows),
        () => this.weight.dequantize(),
      ),
    );
  }

  /** Chosen rows on the shard's device. */
  unpackRows(rows: readonly number[]): tf.Tensor {
    const begin = this.denseBegin;
    return onDevice(this.config.device, () => this.weight.dequantizeRows(begin === 0 ? rows : rows.map((row) => row + begin)));
  }

  /** The weight on the host; float32 numbers as 32-bit codes. Throws where the device has to be awaited. */
  readRecord(): HostRecord {
    return this.recordOf(this.stored.dataSync());
  }

  async readRecordAsync(): Promise<HostRecord> {
    return this.recordOf(await this.stored.data());
  }

  async readAsync(): Promise<HostShard> {
    const bias = this.bias === null ? null : Float32Array.from(await this.bias.data());
    return {...(await this.readRecordAsync()), bias};
  }

  /** The same numbers on another device; what the old one held is dropped, not read. */
  moveTo(device: DeviceRef, {words, bias}: HostShard): void {
    this.config.device = device;
    this.writeWords(words);
    if (bias !== null) this.writeBias(bias);
  }

  writeWords(words: Int32Array): void {
    const make = () =>
      this.weight instanceof QuantizedWeight ? tf.tensor1d(words, 'int32') : tf.tensor2d(floats(words), this.weight.shape);
    onDevice(this.config.device, () => tf.tidy(() => this.setWeightTensor(make())));
  }

  writeBias(values: Float32Array): void {
    onDevice(this.config.device, () => tf.tidy(() => this.setBias(tf.tensor1d(values))));
  }

  /** Frees what is left: a layer's variables may have been freed with it. */
  free(): void {
    for (const variable of this.weights) {
      const {val} = variable as unknown as {val: tf.Variable};
      if (!val.isDisposed) variable.dispose();
    }
    this.releaseView();
  }

  private get stored(): tf.Tensor {
    return this.weight instanceof QuantizedWeight ? this.weight.words : (this.weight as DenseWeight).tensor;
  }

  /** First row of a view of a dense weight, which is held whole. */
  private get denseBegin(): number {
    return this.weight instanceof QuantizedWeight ? 0 : (this.config.view?.begin ?? 0);
  }

  private windowed(some: (rows: number[]) => tf.Tensor, all: () => tf.Tensor2D): tf.Tensor2D {
    if (!this.isView || this.weight instanceof QuantizedWeight) return all();
    return some(Array.from({length: this.config.outDim}, (_, i) => this.denseBegin + i)) as tf.Tensor2D;
  }

  private recordOf(values: tf.TypedArray): HostRecord {
    const words = valueWords(this.stored.dtype, values);
    const {weight} = this;
    if (weight instanceof QuantizedWeight) {
      if (!this.isView) return {layout: weight.layout, words};
      return sliceWords(weight.layout, words, [weight.rowStart, weight.rowEnd], [0, weight.inDim]);
    }
    const {outDim, inDim} = this.config;
    const begin = this.denseBegin * inDim;
    return {layout: denseLayout(outDim, inDim), words: words.subarray(begin, begin + outDim * inDim)};
  }
}

/** Words of 32-bit codes as the floats that they are. */
export function floats(words: Int32Array): Float32Array {
  return new Float32Array(words.buffer, words.byteOffset, words.length);
}
