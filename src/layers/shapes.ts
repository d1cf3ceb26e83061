import type * as tf from '@tensorflow/tfjs';
import {checkTensor} from '../arguments.js';
import {ArgumentError, ShapeError} from '../errors.js';

/** Throws ShapeError unless x is [..., inDim] with rank 1 or more. */
export function checkInput(x: tf.Tensor, outDim: number, inDim: number): void {
  checkTensor('linear layer: x', x);
  if (x.rank >= 1 && x.shape[x.rank - 1] === inDim) return;
  throw new ShapeError({
    where: 'linear layer: x',
    expected: `[..., ${inDim}] for a [${outDim}, ${inDim}] weight`,
    received: `[${x.shape}]`,
  });
}

/** Throws ArgumentError unless `value` is an integer of at least `least`. */
export function checkDim(value: number, name: string, where: string, least = 1): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw new ArgumentError({where: `${where}: ${name}`, expected: `an integer of at least ${least}`, received: String(value)});
}
