/** What a chain has to come to. */
import * as tf from '@tensorflow/tfjs';
import {type ChainStep, ops} from '../../src/index.js';

/** The same as ops.chain with an op a step. */
export function apart(x: tf.Tensor2D, steps: readonly ChainStep[]): tf.Tensor2D {
  return tf.tidy(() => {
    const given: tf.Tensor2D[] = [x];
    for (const step of steps) {
      const from = given.at(-1) as tf.Tensor2D;
      if ('past' in step) given.push(ops.attend(from, step.past, step.rotation));
      else {
        const {weight, residual, ...options} = step;
        const added = residual ? (given.at(-residual) as tf.Tensor2D) : null;
        given.push(ops.fusedMatMul(from, weight, {...options, residual: added}) as tf.Tensor2D);
      }
    }
    return given.at(-1) as tf.Tensor2D;
  });
}
