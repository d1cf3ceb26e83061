/** Grouped-query attention with a causal mask and a key-value cache. */
import * as tf from '@tensorflow/tfjs';
import {type ChainStep, type Linear, ops, type Rotation} from 'tfjs-linear';
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

  /** The same as steps of one op; null where a layer is none. */
  chainSteps(rotation: Rotation, cache: KeyValueCache): readonly ChainStep[] | null {
    const {norm, qkv, output} = this;
    const first = qkv.length === 1 ? qkv[0].chainSteps({norm}) : null;
    const last = output.chainSteps({residual: 3});
    return first === null || last === null ? null : [...first, {past: cache.layer(this.layer), rotation}, ...last];
  }

  dispose(): void {
    for (const part of [this.norm, ...this.qkv, this.output]) part.dispose();
  }
}
