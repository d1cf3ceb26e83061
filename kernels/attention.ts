/**
 * Attention of new positions over those before them and each other, as one op. A backend may register a kernel of its own (Attend: wasm and webgpu do), which
 * writes keys and values in place; elsewhere, and where gradients are recorded, it is a composition of tf.js ops (attention_composed.ts).
 */
import * as tf from '@tensorflow/tfjs';
import {areFloats, asFloats, checkDim, checkInstance, checkObject, checkOptions, checkTensor} from '../src/arguments.js';
import {ArgumentError, ShapeError} from '../src/errors.js';
import {attendComposed} from './attention_composed.js';
import {hasKernel} from './fused.js';

/**
 * Attend: qkv [M, (H + 2 KH) D], keys and values [KH, C, D], cos and sin [M, D / 2] -> [M, H D]. Positions length .. length + M of keys and values are
 * written in place: C has room for them.
 */
export const ATTEND = 'Attend';

export interface AttendAttrs {
  readonly length: number;
}

/** What attention reads besides qkv, and the width H D of its result. */
export interface AttendInputs extends AttendAttrs {
  readonly keys: tf.TensorInfo;
  readonly values: tf.TensorInfo;
  readonly cos: tf.TensorInfo;
  readonly sin: tf.TensorInfo;
  readonly width: number;
}

/**
 * What turns heads at M positions (rotary embedding, half-split): the pair (x[i], x[i + D / 2]) by the angle of cos[i] and sin[i]. A factor in these
 * scales q and k: with D^(-1/4) scores are q . k / sqrt(D). For one position a matrix can say the same, which takes fewer ops where they are composed.
 */
export type Rotation =
  | {
      /** [M, D / 2] */
      readonly cos: tf.Tensor2D;
      /** [M, D / 2] */
      readonly sin: tf.Tensor2D;
    }
  | {
      /** [1, D, D]: a head [1, D] times it is turned. */
      readonly matrix: tf.Tensor3D;
    };

/** Positions that room is made for beyond those asked for, where keys and values are written in place; later as many again as there are. */
const ROOM = 64;

/**
 * Keys and values of the positions that one layer of attention has seen. `ops.attend` adds to it; the owner disposes it. Memory: 8 bytes a
 * position, head of k and number of a head; up to twice that on backends with a kernel of their own.
 *
 * ```js
 * const past = new tfl.PastPositions({keyHeads: 2, headDim: 4});
 * past.length; // 0
 * ```
 */
export class PastPositions {
  readonly keyHeads: number;
  readonly headDim: number;
  private count = 0;
  /** [KH, C, D] each, C at least the length. */
  private held: {readonly keys: tf.Tensor3D; readonly values: tf.Tensor3D} | null = null;

  /** Throws ArgumentError unless both are whole numbers, headDim an even one. */
  constructor(options: {keyHeads: number; headDim: number}) {
    const where = 'PastPositions';
    checkOptions(where, options, ['keyHeads', 'headDim']);
    const {headDim} = options;
    this.keyHeads = checkDim(options.keyHeads, 'keyHeads', where);
    this.headDim = checkDim(headDim, 'headDim', where);
    if (headDim % 2 !== 0) throw new ArgumentError({where, expected: 'an even headDim', received: `headDim ${headDim}`});
  }

  /** Positions it holds. */
  get length(): number {
    return this.count;
  }

  /** Keys and values [KH, C, D] with room for `count` more. They stay this object's. Internal. */
  reserve(count: number): {readonly keys: tf.Tensor3D; readonly values: tf.Tensor3D} {
    const wanted = this.count + count;
    const {held} = this;
    const capacity = held?.keys.shape[1] ?? 0;
    if (held !== null && wanted <= capacity) return held;
    const more = Math.max(Math.ceil(wanted / ROOM + 1) * ROOM - capacity, capacity);
    const grown = (t: tf.Tensor3D | undefined): tf.Tensor3D =>
      t === undefined
        ? tf.zeros([this.keyHeads, more, this.headDim])
        : tf.pad3d(t, [
            [0, 0],
            [0, more],
            [0, 0],
          ]);
    return this.replace(grown(held?.keys), grown(held?.values));
  }

  /** Keys and values [KH, length, D] as new tensors, or the held ones; null: there are none. Internal. */
  exact(): {readonly keys: tf.Tensor3D; readonly values: tf.Tensor3D} | null {
    const {held, count} = this;
    if (held === null || count === 0) return null;
    if (held.keys.shape[1] === count) return held;
    const cut = (t: tf.Tensor3D) => tf.slice(t, [0, 0, 0], [this.keyHeads, count, this.headDim]);
    return {keys: cut(held.keys), values: cut(held.values)};
  }

  /** Takes over tensors in place of those it has. Internal. */
  replace(keys: tf.Tensor3D, values: tf.Tensor3D): {readonly keys: tf.Tensor3D; readonly values: tf.Tensor3D} {
    const old = this.held;
    this.held = {keys: tf.keep(keys), values: tf.keep(values)};
    if (old !== null) tf.dispose([old.keys, old.values]);
    return this.held;
  }

  /** `count` more positions are there. Internal. */
  advance(count: number): void {
    this.count += count;
  }

  dispose(): void {
    if (this.held !== null) tf.dispose([this.held.keys, this.held.values]);
    this.held = null;
    this.count = 0;
  }
}

/**
 * Causal attention of M new positions, H heads of q in groups over those of k: heads of q and k are turned, k and v are added to `past`, and each
 * position mixes v by softmax(q . k^T) over all of the past up to itself.
 * @param qkv float32 [M, (H + 2 KH) D]: heads of q, of k, of v
 * @returns [M, H D]
 * Gradients reach qkv; what was in `past` before is constant. Throws ShapeError, ArgumentError; on webgpu DeviceError for heads that do not fit a
 * device's workgroups: up to 512 numbers always do.
 * Source: Vaswani et al. 2017, arXiv 1706.03762; Su et al. 2021, arXiv 2104.09864; Ainslie et al. 2023, arXiv 2305.13245.
 *
 * ```js
 * const past = new tfl.PastPositions({keyHeads: 1, headDim: 2});
 * const still = {cos: tf.ones([1, 1]), sin: tf.zeros([1, 1])};
 * tfl.ops.attend(tf.tensor2d([[1, 0, 1, 0, 3, 4]]), past, still).print(); // [[3, 4]]
 * past.length; // 1
 * past.dispose();
 * ```
 */
export function attend(qkv: tf.Tensor2D, past: PastPositions, rotation: Rotation): tf.Tensor2D {
  checkTensor('attend: qkv', qkv);
  checkAttend('attend', qkv.shape, past, rotation);
  const count = qkv.shape[0];
  const y =
    hasKernel(ATTEND) && 'cos' in rotation ? attendHere(qkv, past, rotation) : tf.tidy(() => attendComposed(asFloats(qkv), past, rotation));
  past.advance(count);
  return y;
}

/** By the backend's own kernel. */
function attendHere(qkv: tf.Tensor2D, past: PastPositions, {cos, sin}: Extract<Rotation, {cos: tf.Tensor2D}>): tf.Tensor2D {
  const run = (): tf.Tensor2D => {
    const {keys, values} = past.reserve(qkv.shape[0]);
    const inputs = {qkv: asFloats(qkv), keys, values, cos: asFloats(cos), sin: asFloats(sin)};
    const attrs: AttendAttrs = {length: past.length};
    return tf.engine().runKernel(ATTEND, inputs, attrs as unknown as tf.NamedAttrMap) as tf.Tensor2D;
  };
  return areFloats([qkv, cos, sin]) ? run() : tf.tidy(run);
}

/** Throws ArgumentError or ShapeError unless qkv of a shape and what turns its heads fit the heads of `past`. */
export function checkAttend(where: string, qkv: readonly number[], past: PastPositions, rotation: Rotation): void {
  checkInstance(`${where}: past`, past, PastPositions, 'PastPositions');
  checkObject(`${where}: rotation`, rotation, 'tensors: cos and sin, or a matrix');
  const {keyHeads, headDim} = past;
  const names = 'matrix' in rotation ? ['matrix'] : ['cos', 'sin'];
  checkOptions(`${where}: rotation`, rotation, names);
  for (const name of names) checkTensor(`${where}: ${name}`, rotation[name as keyof Rotation]);
  const [count, width] = qkv as [number, number];
  const heads = width / headDim - 2 * keyHeads;
  const is = (t: tf.Tensor, ...shape: number[]) => t.shape.length === shape.length && t.shape.every((size, i) => size === shape[i]);
  const turns =
    'cos' in rotation
      ? is(rotation.cos, count, headDim / 2) && is(rotation.sin, count, headDim / 2)
      : count === 1 && is(rotation.matrix, 1, headDim, headDim);
  if (qkv.length === 2 && count > 0 && Number.isInteger(heads) && heads > 0 && heads % keyHeads === 0 && turns) return;
  const shown = 'cos' in rotation ? `cos [${rotation.cos.shape}], sin [${rotation.sin.shape}]` : `matrix [${rotation.matrix.shape}]`;
  throw new ShapeError({
    where,
    expected: `qkv [M, (H + ${2 * keyHeads}) ${headDim}], H a multiple of ${keyHeads}; cos and sin [M, ${headDim / 2}], or for M = 1 a matrix [1, ${headDim}, ${headDim}]`,
    received: `qkv [${qkv}], ${shown}`,
  });
}
