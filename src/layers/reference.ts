/** tf.js's reference counts of a model that is used as a layer. */
import type * as tf from '@tensorflow/tfjs';

export type DisposeResult = ReturnType<tf.LayersModel['dispose']>;

/** Fields of tf.js's Container that are there at run time. */
interface Counted {
  _refCount: number;
  inboundNodes: readonly unknown[];
  outputLayers: readonly {outboundNodes: readonly unknown[]}[];
}

/** Calls of dispose so far. */
const ended = new WeakMap<object, number>();

/** Calls of dispose that end a layer. */
function references({inboundNodes, outputLayers}: Counted): number {
  // One node is the layer's own graph.
  const uses = inboundNodes.length - 1;
  // A tf.sequential that begins with a model goes on with that model's own graph, and counts no use.
  const begun = outputLayers.reduce((sum, {outboundNodes}) => sum + outboundNodes.length, 0);
  if (begun > 0) return uses + begun;
  return uses > 1 ? uses + 1 : 1;
}

/**
 * Disposes a layer of ours as tf.js disposes a Dense: gone with the last model that it is in. By itself tf.js counts a model's maker as a further user,
 * and tf.sequential never gives that reference back. A layer several times in one model, or inside several, stays with tf.js's counting.
 * A call too many does nothing.
 */
export function disposeLayer(layer: tf.LayersModel, dispose: () => DisposeResult): DisposeResult {
  const counted = layer as unknown as Counted;
  if (counted._refCount === 0) return {refCountAfterDispose: 0, numDisposedVariables: 0};
  const calls = (ended.get(layer) ?? 0) + 1;
  ended.set(layer, calls);
  const left = references(counted) - calls;
  if (left > 0) return {refCountAfterDispose: left, numDisposedVariables: 0};
  counted._refCount = 1;
  return dispose();
}
