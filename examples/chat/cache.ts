/**
 * Keys and values of past positions, on the backend. tf.js tensors cannot be written in place, and appending each token to all of
 * them would copy the whole cache every time. So a layer keeps them in two places:
 *
 * - a body, one pair of matrices a head: what a prompt brought, and tails that have filled up. A body stays the same tensor for many tokens,
 *   which also lets the wasm backend keep its packed copy for its fast matmul (2-d, nothing transposed: hence k lies the other way);
 * - a tail that one position at a time is appended to, up to TAIL_POSITIONS: on average a token copies half of that.
 *
 * GPUs copy fast, and every op costs a dispatch there: on those a layer has a tail alone, of any length.
 */
import * as tf from '@tensorflow/tfjs';

/** One head of the body: T positions. */
export interface HeadBody {
  /** [D, T] */
  readonly k: tf.Tensor2D;
  /** [T, D] */
  readonly v: tf.Tensor2D;
}

/** k and v of all heads, each [heads of k, T, D]. */
export interface Heads {
  readonly k: tf.Tensor3D;
  readonly v: tf.Tensor3D;
}

/** What attention of one layer reads: positions of the body, then those of the tail. At least one is there. */
export interface Past {
  readonly body: readonly HeadBody[] | null;
  readonly tail: Heads | null;
}

const TAIL_POSITIONS = 64;

export class KeyValueCache {
  /** Positions held in every layer. */
  length = 0;
  private readonly layers: Past[];

  /** @param tailPositions where a tail is full; default as the current backend has it */
  constructor(
    layerCount: number,
    private readonly tailPositions = /^webg(l|pu)/.test(tf.getBackend()) ? Number.POSITIVE_INFINITY : TAIL_POSITIONS,
  ) {
    this.layers = Array.from({length: layerCount}, () => ({body: null, tail: null}));
  }

  /**
   * Adds k and v [heads of k, M, D] of new positions to a layer and returns all it has: with M > 1 in the body alone, or the tail alone. What is returned stays
   * the cache's. Call it inside a tidy, and `advance` once all layers have the positions.
   */
  append(layer: number, added: Heads): Past {
    const old = this.layers[layer] as Past;
    const joined = old.tail === null ? added : joinHeads(old.tail, added);
    const several = added.k.shape[1] > 1 && this.tailPositions !== Number.POSITIVE_INFINITY;
    const full = several || joined.k.shape[1] > this.tailPositions;
    const next: Past = full ? {body: extendBody(old.body, joined), tail: null} : {body: old.body, tail: joined};
    this.layers[layer] = next;
    keep(next);
    if (old.body !== next.body) tf.dispose(old.body as unknown as tf.TensorContainer);
    tf.dispose(old.tail as unknown as tf.TensorContainer);
    return next;
  }

  /** `count` more positions are in every layer. */
  advance(count: number): void {
    this.length += count;
  }

  dispose(): void {
    for (const layer of this.layers) tf.dispose(layer as unknown as tf.TensorContainer);
    this.layers.length = 0;
    this.length = 0;
  }
}

function joinHeads(a: Heads, b: Heads): Heads {
  return {k: tf.concat([a.k, b.k], 1), v: tf.concat([a.v, b.v], 1)};
}

function extendBody(body: readonly HeadBody[] | null, {k, v}: Heads): HeadBody[] {
  const keys = tf.unstack(tf.transpose(k, [0, 2, 1])) as tf.Tensor2D[];
  const values = tf.unstack(v) as tf.Tensor2D[];
  return keys.map((key, head) => {
    const value = values[head] as tf.Tensor2D;
    const old = body?.[head];
    return old === undefined ? {k: key, v: value} : {k: tf.concat([old.k, key], 1), v: tf.concat([old.v, value], 0)};
  });
}

function keep({body, tail}: Past): void {
  for (const {k, v} of [...(body ?? []), ...(tail === null ? [] : [tail])]) {
    tf.keep(k);
    tf.keep(v);
  }
}
