/** A decoder of the Llama family in tf.js ops. Every matrix is a layer of tfjs-linear and stays packed. */
import * as tf from '@tensorflow/tfjs';
import {type ChainStep, type Linear, type MLP, ops, type Rotation} from 'tfjs-linear';
import type {Attention} from './attention.js';
import {KeyValueCache} from './cache.js';
import type {LlamaConfig} from './config.js';
import type {RmsNorm} from './norm.js';
import type {RotaryEmbedding} from './rope.js';
import {ask, holding, type Question, runSteps, runStepsAsync, type Steps} from './steps.js';

export interface Block {
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
  /** Some layer lies on a device that has to be awaited: only the `Async` methods work. */
  readonly isAwaited: boolean;
}

/** Bytes of the weights, as resident and as float32. */
export interface WeightBytes {
  readonly weightBytes: number;
  readonly float32Bytes: number;
  /** Of weightBytes, those on each device, where there are several. */
  readonly devices?: readonly {readonly name: string; readonly bytes: number}[];
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
    return new KeyValueCache(this.config);
  }

  /** Reads token ids after those the cache holds. At most PREFILL_POSITIONS ids a call keep memory bounded. */
  async read(ids: readonly number[], cache: KeyValueCache): Promise<void> {
    (await this.run(this.hidden(ids, cache), ids.length)).dispose();
  }

  /** As `read`, and returns the logits of the position after the last: [1, V], which the caller disposes. Needs layers that answer at once. */
  forward(ids: readonly number[], cache: KeyValueCache): tf.Tensor2D {
    return runSteps(this.logits(ids, cache)) as tf.Tensor2D;
  }

  /** As `forward`, for layers on any devices; a prompt leaves room for others' turns on the thread. */
  async forwardAsync(ids: readonly number[], cache: KeyValueCache): Promise<tf.Tensor2D> {
    return (await this.run(this.logits(ids, cache), ids.length)) as tf.Tensor2D;
  }

  dispose(): void {
    const {embedding, blocks, norm, head} = this.parts;
    for (const block of blocks) disposeBlock(block);
    for (const part of [embedding, norm, head]) part?.dispose();
  }

  private async run(steps: Steps, positions: number): Promise<tf.Tensor> {
    if (this.parts.isAwaited) return runStepsAsync(steps, 'awaited');
    return positions === 1 ? runSteps(steps) : runStepsAsync(steps, 'at once');
  }

  private *logits(ids: readonly number[], cache: KeyValueCache): Steps {
    const {blocks, head, embedding, norm} = this.parts;
    const last = head ?? embedding;
    const {x, rotation} = yield* this.start(ids, cache);
    // All as steps of one op: of one position each op costs about as much as its product.
    const chained = ids.length === 1 ? chainOf(blocks, rotation, cache) : null;
    const end = chained === null ? null : last.chainSteps({norm});
    if (chained !== null && end !== null) return ops.chain(x, [...chained, ...end]);
    const hidden = chained === null ? yield* this.through(x, rotation, cache) : ops.chain(x, chained);
    const row = ids.length === 1 ? hidden : tf.slice(hidden, [ids.length - 1, 0], [1, this.config.hiddenDim]);
    return yield ask(last, row, {norm});
  }

  /** The residual stream after the last block, [M, H]. */
  private *hidden(ids: readonly number[], cache: KeyValueCache): Steps {
    const {x, rotation} = yield* this.start(ids, cache);
    return yield* this.through(x, rotation, cache);
  }

  /** The residual stream before the first block, [M, H], and what turns heads at these positions. */
  private *start(ids: readonly number[], cache: KeyValueCache): Generator<Question, {x: tf.Tensor2D; rotation: Rotation}, tf.Tensor> {
    const {embedding, rope} = this.parts;
    const x = (yield {layer: embedding, input: {rows: ids}, around: {}, held: []}) as tf.Tensor2D;
    return {x, rotation: rope.at(cache.length, ids.length)};
  }

  private through(x: tf.Tensor2D, rotation: Rotation, cache: KeyValueCache): Steps {
    return holding(Object.values(rotation), through(this.parts.blocks, x, rotation, cache));
  }
}

function* through(blocks: readonly Block[], first: tf.Tensor2D, rotation: Rotation, cache: KeyValueCache): Steps {
  let x: tf.Tensor = first;
  for (const {attention, mlpNorm: norm, mlp} of blocks) {
    const attended = yield* holding([x], attention.steps(x as tf.Tensor2D, rotation, cache));
    x = yield ask(mlp, attended, {norm, residual: attended});
  }
  return x;
}

/** All blocks as steps of one op; null where a layer is no step. */
function chainOf(blocks: readonly Block[], rotation: Rotation, cache: KeyValueCache): readonly ChainStep[] | null {
  const steps: ChainStep[] = [];
  for (const {attention, mlpNorm: norm, mlp} of blocks) {
    const [first, last] = [attention.chainSteps(rotation, cache), mlp.chainSteps({norm, residual: 1})];
    if (first === null || last === null) return null;
    steps.push(...first, ...last);
  }
  return steps;
}

export function disposeBlock({attention, mlpNorm, mlp}: Block): void {
  for (const part of [attention, mlpNorm, mlp]) part.dispose();
}
