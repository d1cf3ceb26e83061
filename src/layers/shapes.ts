import type * as tf from '@tensorflow/tfjs';
import {checkTensor} from '../arguments.js';
import {ArgumentError, ShapeError} from '../errors.js';

/** Throws ShapeError unless x is [..., inDim] with rank 1 or more. */
export function checkInput(x: tf.Tensor, outDim: number, inDim: number, layer: string): void {
  checkTensor(`${layer}: x`, x);
  if (x.rank >= 1 && x.shape[x.rank - 1] === inDim) return;
  throw wrongInput(x.shape, outDim, inDim, layer);
}

function wrongInput(shape: tf.Shape, outDim: number, inDim: number, layer: string): ShapeError {
  const expected = `[..., ${inDim}] for a [${outDim}, ${inDim}] weight`;
  return new ShapeError({where: `${layer}: x`, expected, received: `[${shape.map((d) => d ?? '?')}]`});
}

/** [..., inDim] -> [..., outDim] of shapes that may not be known yet. Throws ShapeError for another last dimension. */
export function outputShape(given: tf.Shape | tf.Shape[], outDim: number, inDim: number, layer: string): tf.Shape {
  const shape = (Array.isArray(given[0]) ? given[0] : given) as tf.Shape;
  const last = shape[shape.length - 1] ?? null;
  if (last !== null && last !== inDim) throw wrongInput(shape, outDim, inDim, layer);
  return [...shape.slice(0, -1), outDim];
}

/** Throws ArgumentError unless `value` is an integer of at least `least`. */
export function checkDim(value: number, name: string, where: string, least = 1): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw new ArgumentError({where: `${where}: ${name}`, expected: `an integer of at least ${least}`, received: String(value)});
}
