/**
 * The resident weight: one int32 tensor of packed words and the layout that says how to read it. A weight may be a
 * window of rows of a shared tensor, so that gate and up, or q, k and v, are stored and multiplied as one.
 */
import * as tf from '@tensorflow/tfjs';
import {checkTensor} from '../src/arguments.js';
import {ArgumentError, DeviceError, ShapeError} from '../src/errors.js';
import {UNPACK_WEIGHT} from './attributes.js';
import {checkLayout} from './check_layout.js';
import {sectionsOf, type WeightLayout} from './layout.js';
import {track} from './memory.js';
import {checkIndices, checkRange, checkRanges} from './rows.js';
import {type Range, sliceWords} from './slice.js';

/** The tensor behind one weight or several windows of it; freed with the last. */
class SharedWords {
  private users = 0;

  constructor(
    readonly tensor: tf.Tensor,
    /** false: somebody else (a layer's variable) disposes the tensor. */
    private readonly owned: boolean,
  ) {}

  retain(): this {
    this.users++;
    return this;
  }

  release(): void {
    if (--this.users === 0 && this.owned && !this.tensor.isDisposed) this.tensor.dispose();
  }
}

/**
 * A packed weight [N, K]: one int32 tensor of words, and the layout that reads them.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 2, outDim: 3, dtype: 'float16'});
 * layer.loadStateDict({weight: tf.tensor2d([[1, 2], [3, 4], [5, 6]])});
 * layer.weight.byteLength; // 12
 * layer.weight.dequantizeRows([2]).print(); // [[5, 6]]
 * ```
 */
export class QuantizedWeight {
  private disposed = false;

  private constructor(
    readonly layout: WeightLayout,
    private readonly shared: SharedWords,
    /** First and last + 1 row of the layout that this weight stands for. */
    readonly rowStart: number,
    readonly rowEnd: number,
  ) {
    shared.retain();
  }

  /**
   * A weight from words on the host, stored on `backendName` (default: the current backend).
   * The words belong to the weight from here on. Throws ArgumentError for what is no layout, ShapeError for another number of words.
   */
  static fromWords(layout: WeightLayout, words: Int32Array, backendName?: string): QuantizedWeight {
    checkLayout('QuantizedWeight.fromWords', layout);
    checkLength(layout, words?.length);
    const engine = tf.engine();
    const backend = backendName === undefined ? undefined : engine.findBackend(backendName);
    const tensor = tf.keep(engine.makeTensor(words, [words.length], 'int32', backend) as tf.Tensor);
    track(tensor, layout, backendName ?? tf.getBackend());
    return new QuantizedWeight(layout, new SharedWords(tensor, true), 0, layout.outDim);
  }

  /** A weight over a tensor that somebody else owns and disposes, such as a layer's variable. Throws as `fromWords`. */
  static overTensor(layout: WeightLayout, tensor: tf.Tensor): QuantizedWeight {
    checkLayout('QuantizedWeight.overTensor', layout);
    checkTensor('QuantizedWeight.overTensor', tensor);
    checkLength(layout, tensor.size);
    track(tensor, layout, tf.getBackend());
    return new QuantizedWeight(layout, new SharedWords(tensor, false), 0, layout.outDim);
  }

  /** A float32 tensor read in place as 32-bit codes: not counted as packed, not owned. Internal. */
  static overFloats(layout: WeightLayout, tensor: tf.Tensor): QuantizedWeight {
    checkLength(layout, tensor.size);
    return new QuantizedWeight(layout, new SharedWords(tensor, false), 0, layout.outDim);
  }

  /** N */
  get outDim(): number {
    return this.rowEnd - this.rowStart;
  }

  /** K */
  get inDim(): number {
    return this.layout.inDim;
  }

  /** [N, K] */
  get shape(): [number, number] {
    return [this.outDim, this.inDim];
  }

  /** The packed words, int32 [L]. Do not dispose. */
  get words(): tf.Tensor {
    return this.shared.tensor;
  }

  get isDisposed(): boolean {
    return this.disposed || this.shared.tensor.isDisposed;
  }

  /** Throws ArgumentError once it is disposed. */
  checkLive(where: string): void {
    if (this.isDisposed) throw new ArgumentError({where, expected: 'a live weight', received: 'a disposed one'});
  }

  /** Bytes resident: codes, scales, zeros and order together; a window counts its share of rows. */
  get byteLength(): number {
    const all = sectionsOf(this.layout).length * 4;
    return this.layout.outDim === 0 ? all : Math.round((all * this.outDim) / this.layout.outDim);
  }

  /** The weight as float32 [N, K], rows and columns as in the file. Bit-equal to the producing tool's own decoder. */
  dequantize(): tf.Tensor2D {
    return this.unpack();
  }

  /**
   * Chosen rows as float32: indices of any shape [...] -> [..., K]. An embedding lookup on the packed weight.
   * Throws ArgumentError for an index outside [0, N) where the indices are on the host.
   */
  dequantizeRows(indices: tf.Tensor | readonly number[]): tf.Tensor {
    checkIndices(indices, this.outDim);
    return tf.tidy(() => {
      const rows = indices instanceof tf.Tensor ? indices : tf.tensor1d([...indices], 'int32');
      const flat = tf.cast(tf.reshape(rows, [rows.size]), 'int32');
      return tf.reshape(this.unpack(flat), [...rows.shape, this.inDim]);
    });
  }

  /**
   * A part of the weight in the file's own row and column order, as a weight of its own (ranges are [begin, end)).
   * Rows of an unordered or ordered weight and any columns, a cut inside a group included.
   * Throws ArgumentError for a range outside the weight, DeviceError where the words cannot be read synchronously (webgpu): see `sliceAsync`.
   */
  slice(ranges: {rows?: Range; columns?: Range} = {}): QuantizedWeight {
    const cut = this.checkRanges(ranges);
    return this.sliced(this.readWords(), cut);
  }

  /** As `slice`, for devices that cannot be read synchronously. */
  async sliceAsync(ranges: {rows?: Range; columns?: Range} = {}): Promise<QuantizedWeight> {
    const cut = this.checkRanges(ranges);
    return this.sliced((await this.words.data()) as Int32Array, cut);
  }

  /** Rows [begin, end) as a window on the same words: no copy. Dispose it like any weight. */
  window(begin: number, end: number): QuantizedWeight {
    this.checkLive('window');
    checkRange('rows', [begin, end], this.outDim);
    return new QuantizedWeight(this.layout, this.shared, this.rowStart + begin, this.rowStart + end);
  }

  /** Another handle on the same words. */
  clone(): QuantizedWeight {
    return this.window(0, this.outDim);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.shared.release();
  }

  private unpack(rows?: tf.Tensor): tf.Tensor2D {
    this.checkLive(rows === undefined ? 'dequantize' : 'dequantizeRows');
    const inputs: tf.NamedTensorMap = rows === undefined ? {words: this.words} : {words: this.words, rows};
    const attrs = {layout: this.layout, rowStart: this.rowStart, rowEnd: this.rowEnd};
    if (this.inDim === 0 || (rows === undefined ? this.outDim : rows.size) === 0) {
      return tf.zeros([rows === undefined ? this.outDim : rows.size, this.inDim]);
    }
    return tf.engine().runKernel(UNPACK_WEIGHT, inputs, attrs as unknown as tf.NamedAttrMap);
  }

  private checkRanges(ranges: {rows?: Range; columns?: Range}): {rows: Range; columns: Range} {
    this.checkLive('slice');
    return checkRanges(ranges, this.shape);
  }

  private readWords(): Int32Array {
    try {
      return this.words.dataSync() as Int32Array;
    } catch (error) {
      throw new DeviceError(
        {
          where: 'slice',
          expected: 'a device that can be read at once',
          received: error instanceof Error ? error.message : String(error),
          remedy: 'Use await weight.sliceAsync(ranges).',
        },
        {cause: error},
      );
    }
  }

  private sliced(words: Int32Array, {rows, columns}: {rows: Range; columns: Range}): QuantizedWeight {
    const cut = sliceWords(this.layout, words, [this.rowStart + rows[0], this.rowStart + rows[1]], columns);
    return QuantizedWeight.fromWords(cut.layout, cut.words);
  }
}

function checkLength(layout: WeightLayout, length: number | undefined): void {
  const expected = sectionsOf(layout).length;
  if (length === expected) return;
  throw new ShapeError({
    where: `packed words of a [${layout.outDim}, ${layout.inDim}] weight`,
    expected: `${expected} 32-bit words`,
    received: `${length}`,
  });
}
