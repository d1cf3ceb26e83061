/** A tf.js activation on the output of a layer, as Dense has one. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import {activateTensor} from '../../kernels/gradients.js';
import {ArgumentError} from '../errors.js';

/** tf.js's names of functions that our kernels fuse. */
const FUSED: Readonly<Record<string, Activation>> = {relu: 'relu', tanh: 'tanh', sigmoid: 'sigmoid', swish: 'silu'};

type Identifier = Parameters<typeof tf.layers.activation>[0]['activation'];

export class OutputActivation {
  /** The same as one of ours, for the kernel to apply; null: `apply` does it. */
  readonly fused: Activation | null;
  private readonly layer: tf.layers.Layer;

  /** Throws ArgumentError for a name that tf.js has not. */
  constructor(
    /** As `activation` of `tf.layers.dense`: 'relu', 'softmax' ... */
    readonly name: string,
    where: string,
  ) {
    this.fused = FUSED[name] ?? null;
    try {
      this.layer = tf.layers.activation({activation: name as Identifier});
    } catch (cause) {
      throw new ArgumentError(
        {where: `${where}: activation`, expected: "a tf.js activation, such as 'relu' or 'softmax'", received: `'${name}'`},
        {cause},
      );
    }
  }

  apply(y: tf.Tensor): tf.Tensor {
    return this.fused === null ? (this.layer.call(y, {}) as tf.Tensor) : activateTensor(this.fused, y);
  }
}

/** null where there is none, or where it would change nothing. */
export function outputActivation(name: string | null | undefined, where: string): OutputActivation | null {
  return name === null || name === undefined || name === 'linear' ? null : new OutputActivation(name, where);
}
