/** A float32 weight [N, K] that trains, with the reading side of a packed one. */
import * as tf from '@tensorflow/tfjs';
import {checkIndices, checkRanges} from '../../kernels/rows.js';
import type {Range} from '../../kernels/slice.js';
import {checkTensor} from '../arguments.js';

/** Backends whose tensors are on the host. */
const HOSTS = ['cpu', 'wasm'];

/**
 * A float32 weight [N, K] of a layer that trains.
 *
 * ```js
 * const weight = new tfl.DenseWeight(tf.tensor2d([[1, 2], [3, 4]]));
 * weight.dequantizeRows([1]).print(); // [[3, 4]]
 * weight.byteLength; // 16
 * ```
 */
export class DenseWeight {
  constructor(
    /** [N, K]. Owned by the layer. */
    readonly tensor: tf.Tensor2D,
  ) {}

  get outDim(): number {
    return this.tensor.shape[0];
  }

  get inDim(): number {
    return this.tensor.shape[1];
  }

  /** [N, K] */
  get shape(): [number, number] {
    return this.tensor.shape;
  }

  get byteLength(): number {
    return this.tensor.size * 4;
  }

  get isDisposed(): boolean {
    return this.tensor.isDisposed;
  }

  /** A copy, float32 [N, K]. */
  dequantize(): tf.Tensor2D {
    checkTensor('dequantize: weight', this.tensor);
    return tf.clone(this.tensor);
  }

  /** Rows [...] -> float32 [..., K]. Throws ArgumentError for an index outside [0, N) where the indices are on the host. */
  dequantizeRows(indices: tf.Tensor | readonly number[]): tf.Tensor {
    checkTensor('dequantizeRows: weight', this.tensor);
    checkIndices(indices, this.outDim);
    // tf.js's GPUs give zeros for a row that is not there; the host's values cost nothing to look at.
    if (indices instanceof tf.Tensor && HOSTS.includes(tf.getBackend()))
      checkIndices(Array.from(indices.dataSync(), Math.trunc), this.outDim);
    return tf.tidy(() =>
      tf.gather(this.tensor, indices instanceof tf.Tensor ? tf.cast(indices, 'int32') : tf.tensor1d([...indices], 'int32')),
    );
  }

  /** A part as a weight of its own; dispose it. Throws ArgumentError for a range outside the weight. */
  slice(part: {rows?: Range; columns?: Range} = {}): DenseWeight {
    checkTensor('slice: weight', this.tensor);
    const {rows, columns} = checkRanges(part, this.shape);
    return new DenseWeight(tf.slice(this.tensor, [rows[0], columns[0]], [rows[1] - rows[0], columns[1] - columns[0]]));
  }

  dispose(): void {
    this.tensor.dispose();
  }
}
