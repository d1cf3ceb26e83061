/**
 * Attention of one position over those before it, as one op. A backend may register a kernel of its own (AttendPast: wasm does); elsewhere, and where
 * gradients are recorded, it is a composition of tf.js ops.
 */
import * as tf from '@tensorflow/tfjs';
import {ShapeError} from '../src/errors.js';
import {hasKernel} from './fused.js';

/** AttendPast: q [heads, G, D], tailK and tailV [heads, t, D], k0 [D, T] and v0 [T, D] of head 0, k1 ... -> [heads, G, D]. */
export const ATTEND_PAST = 'AttendPast';

/** One head of many positions: k lies the way that products with it read it. */
export interface PastHead {
  /** [D, T] */
  readonly k: tf.Tensor2D;
  /** [T, D] */
  readonly v: tf.Tensor2D;
}

/** Some positions in all heads, each [heads, t, D]. */
export interface PastTail {
  readonly k: tf.Tensor3D;
  readonly v: tf.Tensor3D;
}

/** Keys and values: those of the body, a pair a head, then those of the tail. At least one is there. */
export interface Past {
  readonly body: readonly PastHead[] | null;
  readonly tail: PastTail | null;
}

/**
 * softmax(q . k^T) . v over all positions of the past: q [heads, G, D], G rows a head of k and v, scaled already -> [heads, G, D]. Throws ShapeError.
 *
 * ```js
 * const one = tf.tensor3d([[[1, 2]]]);
 * tfl.ops.attendPast(one, {body: null, tail: {k: one, v: one}}).print(); // [[[1, 2]]]
 * ```
 */
export function attendPast(q: tf.Tensor3D, past: Past): tf.Tensor3D {
  checkShapes(q, past);
  const {body, tail} = past;
  if (!hasKernel(ATTEND_PAST)) return tf.tidy(() => composed(q, past));
  const inputs: Record<string, tf.Tensor> = {q, ...(tail === null ? {} : {tailK: tail.k, tailV: tail.v})};
  body?.forEach(({k, v}, head) => {
    inputs[`k${head}`] = k;
    inputs[`v${head}`] = v;
  });
  return tf.engine().runKernel(ATTEND_PAST, inputs) as tf.Tensor3D;
}

function checkShapes(q: tf.Tensor3D, {body, tail}: Past): void {
  const [heads, , dim] = q.shape;
  const [count, recent] = [body?.[0]?.v.shape[0] ?? 0, tail?.k.shape[1] ?? 0];
  const is = (t: tf.Tensor, ...shape: number[]) => t.shape.length === shape.length && t.shape.every((size, i) => size === shape[i]);
  const fits =
    q.rank === 3 &&
    (body === null || (body.length === heads && body.every(({k, v}) => is(k, dim, count) && is(v, count, dim)))) &&
    (tail === null || (is(tail.k, heads, recent, dim) && is(tail.v, heads, recent, dim)));
  if (fits && count + recent > 0) return;
  throw new ShapeError({
    where: 'attendPast',
    expected: 'q [heads, G, D]; body, a pair a head, k [D, T] and v [T, D]; tail k and v [heads, t, D]; one position at least',
    received: `q [${q.shape}], body ${body?.length ?? 'null'} of [${body?.[0]?.k.shape}] and [${body?.[0]?.v.shape}], tail [${tail?.k.shape}] and [${tail?.v.shape}]`,
  });
}

function composed(q: tf.Tensor3D, {body, tail}: Past): tf.Tensor3D {
  const parts: tf.Tensor3D[] = [];
  if (body !== null)
    parts.push(
      overHeads(
        q,
        body.map(({k}) => k),
      ),
    );
  if (tail !== null) parts.push(tf.matMul(q, tail.k, false, true));
  const weights = tf.softmax(parts.length === 1 ? (parts[0] as tf.Tensor3D) : tf.concat(parts, 2));
  if (body === null) return tf.matMul(weights, (tail as PastTail).v);
  const values = body.map(({v}) => v);
  if (tail === null) return overHeads(weights, values);
  const [old, recent] = tf.split(
    weights,
    parts.map(({shape}) => shape[2]),
    2,
  ) as [tf.Tensor3D, tf.Tensor3D];
  return tf.add(overHeads(old, values), tf.matMul(recent, tail.v));
}

/** Each head's rows times its own matrix: a [heads, R, X], b [X, Y] a head -> [heads, R, Y]. */
function overHeads(a: tf.Tensor3D, b: readonly tf.Tensor2D[]): tf.Tensor3D {
  return tf.stack((tf.unstack(a) as tf.Tensor2D[]).map((rows, head) => tf.matMul(rows, b[head] as tf.Tensor2D))) as tf.Tensor3D;
}
