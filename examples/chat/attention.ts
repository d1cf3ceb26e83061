/** Grouped-query attention with a causal mask and a key-value cache. */
import * as tf from '@tensorflow/tfjs';
import {type Linear, ops} from 'tfjs-linear';
import type {HeadBody, Heads, KeyValueCache, Past} from './cache.js';
import type {LlamaConfig} from './config.js';
import type {RotaryEmbedding, Rotation} from './rope.js';
import {ask, type Steps} from './steps.js';

/** q, k and v as one stacked layer where their layouts allow it, else the three. */
export type QkvProjection = readonly [Linear] | readonly [Linear, Linear, Linear];

/** What is the same in every layer for the positions of one call. */
export interface Positions {
  readonly rotation: Rotation;
  /** [M, T]: 0 where row m may look, very negative where not. null for a single position, which sees all. */
  readonly mask: tf.Tensor2D | null;
}

/** Large enough for exp() to give 0, and no infinity: those differ between GPUs. */
const MASKED = -1e9;

/** Mask of `count` positions after `start` earlier ones: [count, start + count]. The caller disposes. */
export function causalMask(start: number, count: number): tf.Tensor2D {
  const total = start + count;
  const values = new Float32Array(count * total);
  for (let m = 0; m < count; m++) values.fill(MASKED, m * total + start + m + 1, (m + 1) * total);
  return tf.tensor2d(values, [count, total]);
}

export class Attention {
  constructor(
    private readonly config: LlamaConfig,
    private readonly rope: RotaryEmbedding,
    private readonly qkv: QkvProjection,
    private readonly output: Linear,
    private readonly layer: number,
  ) {}

  /** x [M, H] -> [M, H]; the cache gains M positions of this layer. The positions' tensors are the caller's to hold. */
  *steps(x: tf.Tensor2D, positions: Positions, cache: KeyValueCache): Steps {
    const {headCount: heads, keyHeadCount: keyHeads, headDim: dim} = this.config;
    const count = x.shape[0];
    const outputs: tf.Tensor[] = [];
    for (const layer of this.qkv) outputs.push(yield ask(layer, x, outputs));
    const all = heads + 2 * keyHeads;
    const qkv = tf.reshape(outputs.length === 1 ? (outputs[0] as tf.Tensor) : tf.concat(outputs, 1), [count, all, dim]) as tf.Tensor3D;
    // v is turned along and its turned rows are not used: that costs less than cutting it off first.
    const turned = this.rope.turn(qkv, positions.rotation);
    const q = byKeyHead(tf.slice(turned, [0, 0, 0], [count, heads, dim]), count, keyHeads, dim);
    const k = byKeyHead(tf.slice(turned, [0, heads, 0], [count, keyHeads, dim]), count, keyHeads, dim);
    const v = byKeyHead(tf.slice(qkv, [0, heads + keyHeads, 0], [count, keyHeads, dim]), count, keyHeads, dim);
    const mixed = attend(q, cache.append(this.layer, {k, v}), positions.mask);
    return yield ask(this.output, byPosition(mixed, count, heads, dim));
  }

  dispose(): void {
    for (const layer of [...this.qkv, this.output]) layer.dispose();
  }
}

/** [M, heads, D] -> [key heads, G * M, D]; with one position no value moves. */
function byKeyHead(t: tf.Tensor, count: number, keyHeads: number, dim: number): tf.Tensor3D {
  const group = t.size / (count * keyHeads * dim);
  if (count === 1) return tf.reshape(t, [keyHeads, group, dim]);
  const split = group === 1 ? tf.transpose(t, [1, 0, 2]) : tf.transpose(tf.reshape(t, [count, keyHeads, group, dim]), [1, 2, 0, 3]);
  return tf.reshape(split, [keyHeads, group * count, dim]);
}

/** The inverse for all heads: [key heads, G * M, D] -> [M, heads * D]. */
function byPosition(t: tf.Tensor3D, count: number, heads: number, dim: number): tf.Tensor2D {
  if (count === 1) return tf.reshape(t, [1, heads * dim]);
  return tf.reshape(tf.transpose(tf.reshape(t, [heads, count, dim]), [1, 0, 2]), [count, heads * dim]);
}

/** softmax(q . k^T + mask) . v over all positions: q [key heads, G * M, D] -> the same shape. */
function attend(q: tf.Tensor3D, past: Past, mask: tf.Tensor2D | null): tf.Tensor3D {
  if (mask === null) return ops.attendPast(q, past);
  const {body, tail} = past;
  return body === null ? attendTogether(q, tail as Heads, mask) : attendMasked(q, body, mask);
}

/** Scores held at once where all heads are multiplied together (64 MiB). */
const SCORES = 2 ** 24;

/** Several positions at once, as many heads together as `most` scores allow: q [key heads, G * M, D] -> the same shape. */
export function attendTogether(q: tf.Tensor3D, {k, v}: Heads, mask: tf.Tensor2D, most = SCORES): tf.Tensor3D {
  const [heads, rows] = q.shape;
  const [count, total] = mask.shape;
  const step = Math.max(1, Math.floor(most / (rows * total)));
  const some = (t: tf.Tensor3D, head: number): tf.Tensor3D =>
    step >= heads ? t : tf.slice(t, [head, 0, 0], [Math.min(step, heads - head), t.shape[1], t.shape[2]]);
  const outputs: tf.Tensor3D[] = [];
  for (let head = 0; head < heads; head += step) {
    outputs.push(
      tf.tidy((): tf.Tensor3D => {
        const scores = tf.reshape(tf.matMul(some(q, head), some(k, head), false, true), [-1, count, total]);
        return tf.matMul(tf.reshape(tf.softmax(tf.add(scores, mask)), [-1, rows, total]) as tf.Tensor3D, some(v, head));
      }),
    );
  }
  return outputs.length === 1 ? (outputs[0] as tf.Tensor3D) : tf.concat(outputs, 0);
}

/** Several positions at once, a head at a time so that the scores of one head are held: G * M * T floats. */
function attendMasked(q: tf.Tensor3D, body: readonly HeadBody[], mask: tf.Tensor2D): tf.Tensor3D {
  const [count, total] = mask.shape;
  const outputs = (tf.unstack(q) as tf.Tensor2D[]).map((rows, head) =>
    tf.tidy(() => {
      const {k, v} = body[head] as HeadBody;
      const scores = tf.reshape(tf.matMul(rows, k), [-1, count, total]);
      return tf.matMul(tf.reshape(tf.softmax(tf.add(scores, mask)), [-1, total]), v);
    }),
  );
  return tf.stack(outputs) as tf.Tensor3D;
}
