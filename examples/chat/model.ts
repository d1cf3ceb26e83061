/** A decoder of the Llama family in tf.js ops. Every matrix is a layer of tfjs-linear and stays packed. */
import * as tf from '@tensorflow/tfjs';
import type {Linear, MLP} from 'tfjs-linear';
import {type Attention, causalMask, type Positions} from './attention.js';
import {KeyValueCache} from './cache.js';
import type {LlamaConfig} from './config.js';
import type {RmsNorm} from './norm.js';
import type {RotaryEmbedding} from './rope.js';

export interface Block {
  readonly attentionNorm: RmsNorm;
  readonly attention: Attention;
  readonly mlpNorm: RmsNorm;
  readonly mlp: MLP;
}

export interface LlamaParts {
  readonly config: LlamaConfig;
  /** [V, H]. Also the output projection where `head` is null: one record serves both. */
  readonly embedding: Linear;
  readonly blocks: readonly Block[];
  readonly norm: RmsNorm;
  readonly head: Linear | null;
  readonly rope: RotaryEmbedding;
}

/** Bytes of the weights, as resident and as float32. */
export interface WeightBytes {
  readonly weightBytes: number;
  readonly float32Bytes: number;
}

/** Positions of a prompt computed at once: bounds the memory of attention scores, G * PREFILL_POSITIONS * T floats a head of k. */
export const PREFILL_POSITIONS = 256;

export class Llama {
  constructor(
    private readonly parts: LlamaParts,
    readonly bytes: WeightBytes,
  ) {}

  get config(): LlamaConfig {
    return this.parts.config;
  }

  /** An empty cache for one conversation; the caller disposes it. */
  createCache(): KeyValueCache {
    return new KeyValueCache(this.config.layerCount);
  }

  /** Reads token ids after those the cache holds. At most PREFILL_POSITIONS ids a call keep memory bounded. */
  read(ids: readonly number[], cache: KeyValueCache): void {
    this.hidden(ids, cache).dispose();
  }

  /** As `read`, and returns the logits of the position after the last: [1, V], which the caller disposes. */
  forward(ids: readonly number[], cache: KeyValueCache): tf.Tensor2D {
    return tf.tidy(() => {
      const x = this.hidden(ids, cache);
      const last = ids.length === 1 ? x : tf.slice(x, [ids.length - 1, 0], [1, this.config.hiddenDim]);
      return (this.parts.head ?? this.parts.embedding).forward(this.parts.norm.forward(last)) as tf.Tensor2D;
    });
  }

  dispose(): void {
    const {embedding, blocks, norm, head, rope} = this.parts;
    for (const block of blocks) disposeBlock(block);
    for (const part of [embedding, norm, head, rope]) part?.dispose();
  }

  /** The residual stream after the last block, [M, H]. */
  private hidden(ids: readonly number[], cache: KeyValueCache): tf.Tensor2D {
    const {embedding, blocks, rope} = this.parts;
    return tf.tidy(() => {
      const positions: Positions = {
        rotation: rope.at(cache.length, ids.length),
        mask: ids.length === 1 ? null : causalMask(cache.length, ids.length),
      };
      let x = embedding.weight.dequantizeRows(ids) as tf.Tensor2D;
      for (const block of blocks) x = runBlock(block, x, positions, cache);
      cache.advance(ids.length);
      return x;
    });
  }
}

function runBlock(block: Block, x: tf.Tensor2D, positions: Positions, cache: KeyValueCache): tf.Tensor2D {
  return tf.tidy(() => {
    const attended = tf.add(x, block.attention.forward(block.attentionNorm.forward(x), positions, cache)) as tf.Tensor2D;
    return tf.add(attended, block.mlp.forward(block.mlpNorm.forward(attended))) as tf.Tensor2D;
  });
}

export function disposeBlock({attentionNorm, attention, mlpNorm, mlp}: Block): void {
  for (const part of [attentionNorm, attention, mlpNorm, mlp]) part.dispose();
}
