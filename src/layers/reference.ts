/** tf.js's reference counts of a model that is used as a layer. */
import type * as tf from '@tensorflow/tfjs';

export type DisposeResult = ReturnType<tf.LayersModel['dispose']>;

/** Fields of tf.js's Layer that are there at run time. */
interface Counted {
  _refCount: number;
  inboundNodes: readonly unknown[];
}

/**
 * Disposes a layer of ours as tf.js disposes a Dense: gone with the one model that it is in. By itself tf.js counts a model's maker as a further user,
 * and tf.sequential never gives that reference back. A layer in several models, or several times in one, stays with tf.js's counting.
 * A second call does nothing.
 */
export function disposeLayer(layer: tf.LayersModel, dispose: () => DisposeResult): DisposeResult {
  const counted = layer as unknown as Counted;
  if (counted._refCount === 0) return {refCountAfterDispose: 0, numDisposedVariables: 0};
  // Two nodes: the layer's own graph, and one use.
  if (counted._refCount === 2 && counted.inboundNodes.length === 2) counted._refCount = 1;
  return dispose();
}
