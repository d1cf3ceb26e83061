/** A layer's values on the host, cut and put on the devices. */
import * as tf from '@tensorflow/tfjs';
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {partsOf, valueWords} from '../../kernels/words.js';
import type {CoreConfig} from '../layers/core_config.js';
import {denseLayout} from '../layers/dense_matmul.js';
import {cutRecord, type HostRecord} from './record.js';
import type {PlacedShard, ShardDevice} from './shard_device.js';
import {indicesOf, lengthOf} from './split.js';
import type {Cut} from './strategy.js';

/** A shard's part of the bias; null: none. */
export function biasOf(bias: Float32Array, cut: Cut): Float32Array | null {
  if (cut.bias === 'none') return null;
  return cut.bias === 'all' ? bias.slice() : Float32Array.from(indicesOf(cut.rows), (n) => bias[n] as number);
}

/** One shard a cut. Throws with none left. */
export function placeShards(config: CoreConfig, devices: readonly ShardDevice[], cuts: readonly Cut[]): PlacedShard[] {
  const {layout, bias} = config;
  const record = hostRecord(config);
  const placed: PlacedShard[] = [];
  try {
    cuts.forEach((cut, i) => {
      const part = cutRecord(record, cut);
      const {bias: _bias, words: _words, ...rest} = config;
      const own = bias === undefined ? null : biasOf(bias, cut);
      placed.push(
        (devices[i] as ShardDevice).place({
          ...rest,
          name: `${config.name}_shard_${i}`,
          inDim: lengthOf(cut.columns),
          outDim: lengthOf(cut.rows),
          layout: layout === null ? null : part.layout,
          hasBias: config.hasBias && cut.bias !== 'none',
          // x comes rounded, y is activated where it is whole.
          inputQuantization: null,
          scaleShape: null,
          float8: null,
          activation: null,
          origin: null,
          trainable: true,
          words: part.words,
          ...(own === null ? {} : {bias: own}),
        }),
      );
    });
  } catch (error) {
    placed.forEach((shard, i) => devices[i]?.release(shard));
    throw error;
  }
  return placed;
}

/** The values to begin with: given ones, zeros (packed) or Glorot uniform (dense). */
function hostRecord({layout, words, outDim, inDim}: CoreConfig): HostRecord {
  if (words !== undefined) return {layout: layout ?? denseLayout(outDim, inDim), words};
  if (layout !== null) return {layout, words: emptyWords(layout)};
  const limit = Math.sqrt(6 / (inDim + outDim));
  const values = tf.tidy(() => tf.randomUniform([outDim, inDim], -limit, limit).dataSync());
  return {layout: denseLayout(outDim, inDim), words: valueWords('float32', values)};
}

/** Zeros, with columns in the file's order: what any cut of the layout can be made of. */
export function emptyWords(layout: WeightLayout): Int32Array {
  const words = new Int32Array(sectionsOf(layout).length);
  if (layout.ordered) partsOf(layout, words).order.forEach((_, j, order) => (order[j] = j));
  return words;
}
