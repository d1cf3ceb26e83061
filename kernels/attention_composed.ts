/** Attention of new positions in tf.js ops. */
import * as tf from '@tensorflow/tfjs';
import type {PastPositions, Rotation} from './attention.js';

/** Large enough for exp() to give 0, and no infinity: those differ between GPUs. */
const MASKED = -1e9;

/** Scores held at once where all heads are multiplied together (64 MiB). */
const SCORES = 2 ** 24;

/** As `attend` of attention.ts, in a tidy; the past gets k and v, its length stays. `most`: scores held at once. */
export function attendComposed(qkv: tf.Tensor2D, past: PastPositions, rotation: Rotation, most = SCORES): tf.Tensor2D {
  const {keyHeads, headDim: dim} = past;
  const count = qkv.shape[0];
  const all = qkv.shape[1] / dim;
  const heads = all - 2 * keyHeads;
  const whole = tf.reshape(qkv, [count, all, dim]) as tf.Tensor3D;
  // v is turned along and its turned rows are not used: that costs less than cutting it off first.
  const turned = turn(whole, rotation);
  const part = (t: tf.Tensor3D, first: number, size: number) => byKeyHead(tf.slice(t, [0, first, 0], [count, size, dim]), keyHeads);
  const q = part(turned, 0, heads);
  const [k, v] = [part(turned, heads, keyHeads), part(whole, heads + keyHeads, keyHeads)];
  const old = past.exact();
  const keys = old === null ? k : tf.concat([old.keys, k], 1);
  const values = old === null ? v : tf.concat([old.values, v], 1);
  past.replace(tf.clone(keys), tf.clone(values));
  return byPosition(mixHeads(q, keys, values, count, most), count);
}

/** x [M, heads, D] -> the same shape, turned. */
export function turn(x: tf.Tensor3D, rotation: Rotation): tf.Tensor3D {
  if ('matrix' in rotation) return tf.matMul(x, rotation.matrix);
  const [a, b] = tf.split(x, 2, 2) as [tf.Tensor3D, tf.Tensor3D];
  const [cos, sin] = [tf.expandDims(rotation.cos, 1), tf.expandDims(rotation.sin, 1)];
  return tf.concat([tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))], 2) as tf.Tensor3D;
}

/** [M, heads, D] -> [key heads, G * M, D]; with one position no value moves. */
function byKeyHead(t: tf.Tensor3D, keyHeads: number): tf.Tensor3D {
  const [count, heads, dim] = t.shape;
  const group = heads / keyHeads;
  if (count === 1) return tf.reshape(t, [keyHeads, group, dim]);
  const split = group === 1 ? tf.transpose(t, [1, 0, 2]) : tf.transpose(tf.reshape(t, [count, keyHeads, group, dim]), [1, 2, 0, 3]);
  return tf.reshape(split, [keyHeads, group * count, dim]);
}

/** The inverse for all heads: [key heads, G * M, D] -> [M, heads * D]. */
function byPosition(t: tf.Tensor3D, count: number): tf.Tensor2D {
  const [, , dim] = t.shape;
  const heads = t.size / (count * dim);
  if (count === 1) return tf.reshape(t, [1, heads * dim]);
  return tf.reshape(tf.transpose(tf.reshape(t, [heads, count, dim]), [1, 0, 2]), [count, heads * dim]);
}

/** softmax(q . k^T) . v, as many heads together as `most` scores allow: q [key heads, G * M, D], k and v [key heads, T, D] -> the shape of q. */
function mixHeads(q: tf.Tensor3D, k: tf.Tensor3D, v: tf.Tensor3D, count: number, most: number): tf.Tensor3D {
  const [heads, rows] = q.shape;
  const total = k.shape[1];
  const mask = count === 1 ? null : causalMask(total - count, count);
  const step = Math.max(1, Math.floor(most / (rows * total)));
  const some = (t: tf.Tensor3D, head: number): tf.Tensor3D =>
    step >= heads ? t : tf.slice(t, [head, 0, 0], [Math.min(step, heads - head), t.shape[1], t.shape[2]]);
  const outputs: tf.Tensor3D[] = [];
  for (let head = 0; head < heads; head += step) {
    outputs.push(
      tf.tidy((): tf.Tensor3D => {
        const scores = tf.matMul(some(q, head), some(k, head), false, true);
        if (mask === null) return tf.matMul(tf.softmax(scores), some(v, head));
        const masked = tf.add(tf.reshape(scores, [-1, count, total]), mask);
        return tf.matMul(tf.reshape(tf.softmax(masked), [-1, rows, total]) as tf.Tensor3D, some(v, head));
      }),
    );
  }
  return outputs.length === 1 ? (outputs[0] as tf.Tensor3D) : tf.concat(outputs, 0);
}

/** [count, start + count]: 0 where row m, position start + m, may look, very negative where not. */
function causalMask(start: number, count: number): tf.Tensor2D {
  const total = start + count;
  const values = new Float32Array(count * total);
  for (let m = 0; m < count; m++) values.fill(MASKED, m * total + start + m + 1, (m + 1) * total);
  return tf.tensor2d(values, [count, total]);
}
