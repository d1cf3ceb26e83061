/** Weight: a named weight or bias that stays on the host until a device first asks for it. */
import * as tf from '@tensorflow/tfjs';
import {checkLayout} from '../../kernels/check_layout.js';
import {floatLayout, sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {checkName, checkObject} from '../arguments.js';
import type {QuantizationEncoding} from '../config/encoding.js';
import {type DeviceRef, deviceOf, onDevice} from '../device.js';
import {checkDenseDType, DType} from '../dtype.js';
import {ArgumentError, ShapeError} from '../errors.js';
import {lowerBlocks} from '../formats/state_dict.js';
import {DenseWeight} from './dense_weight.js';
import {words16} from './state.js';

/** A packed record on the host. */
export interface WeightRecord {
  readonly layout: WeightLayout;
  readonly words: Int32Array;
}

export interface WeightConfig {
  /** In errors, and in a checkpoint. */
  name: string;
  /** [N, K] of a weight, [N] of a bias. */
  shape: readonly number[];
  /** Default float32, or uint8 with a quantizationEncoding. float16 and bfloat16 round `data` once. */
  dtype?: DType;
  /** Where `value()` puts it. Default: the current backend. */
  device?: DeviceRef | string | null;
  /** `data` are the bytes of its blocks, row after row. Default none. */
  quantizationEncoding?: QuantizationEncoding | null;
  /** float32 numbers, blocks, or a packed record. Taken over, not copied. */
  data: Float32Array | Uint8Array | WeightRecord;
}

/**
 * A handle on one weight or bias. Its values are on the host; `value()` makes them a tensor or packed weight of the device at the first call and
 * keeps it. Source: MAX `max.graph.Weight`.
 *
 * ```js
 * const weight = new tfl.Weight({name: 'up_proj.weight', shape: [1, 2], data: Float32Array.of(3, 4)});
 * weight.isOnDevice; // false
 * weight.value().dequantize().print(); // [[3, 4]]
 * weight.dispose();
 * ```
 */
export class Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly device: DeviceRef | null;
  readonly quantizationEncoding: QuantizationEncoding | null;
  private readonly data: Float32Array | WeightRecord;
  private made: QuantizedWeight | DenseWeight | tf.Tensor1D | null = null;

  /** Throws ShapeError where `data` is not of the shape, ArgumentError for a dtype that no layer computes with, and as the encoding's reader does. */
  constructor(config: WeightConfig) {
    checkObject('Weight', config);
    const {name, shape, data, device = null, quantizationEncoding = null} = config;
    checkName(name ?? '', 'Weight');
    if (!Array.isArray(shape) || !(data instanceof Float32Array || data instanceof Uint8Array || data?.layout !== undefined)) {
      const received = `shape ${String(shape)}, ${data === undefined ? 'no data' : `data: ${(data as object | null)?.constructor?.name}`}`;
      throw new ArgumentError({
        where: `weight '${name}'`,
        expected: 'a shape, and data: a Float32Array, a Uint8Array or a record',
        received,
      });
    }
    this.name = name;
    this.shape = Object.freeze([...shape]);
    this.device = deviceOf(device);
    this.quantizationEncoding = quantizationEncoding;
    this.dtype = config.dtype ?? (config.data instanceof Float32Array ? DType.float32 : DType.uint8);
    this.data = hostData(config, this.dtype);
  }

  /** Whether the device has it. */
  get isOnDevice(): boolean {
    return this.made !== null;
  }

  /** Bytes of the values as they are held. */
  get byteLength(): number {
    return this.data instanceof Float32Array ? this.data.byteLength : sectionsOf(this.data.layout).length * 4;
  }

  /** The packed record, or null for float32 values. */
  get layout(): WeightLayout | null {
    return this.data instanceof Float32Array ? null : this.data.layout;
  }

  /** On the device: a weight [N, K], or a tensor [N] of a bias. Owned by the handle. */
  value(): QuantizedWeight | DenseWeight | tf.Tensor1D {
    this.made ??= onDevice(this.device, () => this.make());
    return this.made;
  }

  /** A handle on the same values for another device; they are not copied on the host. */
  to(device: DeviceRef | string | null): Weight {
    const {name, shape, dtype, data, quantizationEncoding} = this;
    const moved = new Weight({name, shape, dtype: data instanceof Float32Array ? DType.float32 : dtype, device, data});
    return Object.assign(moved, {dtype, quantizationEncoding});
  }

  /** Frees what is on the device; the values stay on the host. */
  dispose(): void {
    this.made?.dispose();
    this.made = null;
  }

  private make(): QuantizedWeight | DenseWeight | tf.Tensor1D {
    const {data, shape} = this;
    if (!(data instanceof Float32Array)) return QuantizedWeight.fromWords(data.layout, data.words);
    return shape.length === 1 ? tf.keep(tf.tensor1d(data)) : new DenseWeight(tf.keep(tf.tensor2d(data, shape as [number, number])));
  }
}

function hostData({name, shape, data, quantizationEncoding = null}: WeightConfig, dtype: DType): Float32Array | WeightRecord {
  const [outDim, inDim] = shape as [number, number | undefined];
  const size = shape.reduce((a, b) => a * b, 1);
  const refuse = (expected: string, received: string): ShapeError => new ShapeError({where: `weight '${name}'`, expected, received});
  if (shape.length < 1 || shape.length > 2) throw refuse('a shape [N, K] or [N]', `[${shape}]`);
  if (data instanceof Uint8Array) {
    if (inDim === undefined || quantizationEncoding === null)
      throw refuse('a shape [N, K] and a quantizationEncoding for bytes', `[${shape}]`);
    return lowerBlocks(data, quantizationEncoding, outDim, inDim, `weight '${name}'`);
  }
  if (!(data instanceof Float32Array)) {
    const {layout, words} = data;
    checkLayout(`weight '${name}': layout`, layout);
    if (layout.outDim !== outDim || layout.inDim !== inDim)
      throw refuse(`a record of a [${shape}] weight`, `of a [${layout.outDim}, ${layout.inDim}] one`);
    const {length} = sectionsOf(layout);
    if (words?.length !== length) throw refuse(`${length} words`, `${words?.length}`);
    return data;
  }
  if (data.length !== size) throw refuse(`${size} numbers for [${shape}]`, String(data.length));
  const type = checkDenseDType(dtype, `weight '${name}'`);
  if (type === 'float32' || inDim === undefined) return data;
  const layout = floatLayout(type, outDim, inDim);
  return {layout, words: words16(layout, type, data)};
}
