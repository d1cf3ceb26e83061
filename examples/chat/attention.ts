/** Grouped-query attention with a causal mask and a key-value cache. */
import * as tf from '@tensorflow/tfjs';
import {type Linear, ops, type Rotation} from 'tfjs-linear';
import type {KeyValueCache} from './cache.js';
import type {RmsNorm} from './norm.js';
import {ask, type Steps} from './steps.js';

/** q, k and v as one stacked layer where their layouts allow it, else the three. */
export type QkvProjection = readonly [Linear] | readonly [Linear, Linear, Linear];

export class Attention {
  constructor(
    private readonly norm: RmsNorm,
    private readonly qkv: QkvProjection,
    private readonly output: Linear,
    private readonly layer: number,
  ) {}

  /** x [M, H] -> x + attention of it, [M, H]; the cache gains M positions of this layer. x and the rotation are the caller's to hold. */
  *steps(x: tf.Tensor2D, rotation: Rotation, cache: KeyValueCache): Steps {
    const {norm} = this;
    const outputs: tf.Tensor[] = [];
    for (const layer of this.qkv) outputs.push(yield ask(layer, x, {norm}, outputs));
    const qkv = (outputs.length === 1 ? outputs[0] : tf.concat(outputs, 1)) as tf.Tensor2D;
    const mixed = ops.attend(qkv, cache.layer(this.layer), rotation);
    if (outputs.length > 1) qkv.dispose();
    return yield ask(this.output, mixed, {residual: x});
  }

  dispose(): void {
    for (const part of [this.norm, ...this.qkv, this.output]) part.dispose();
  }
}
