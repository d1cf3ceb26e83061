import * as tf from '@tensorflow/tfjs';
import {checkArray, checkTensor} from '../arguments.js';
import {ArgumentError, ShapeError} from '../errors.js';

/** The x of tf.js's calls, which may stand in a list. Throws ArgumentError for a list of several tensors: all but one would be ignored. */
export function oneInput(x: tf.Tensor | tf.Tensor[], layer: string): tf.Tensor {
  if (!Array.isArray(x)) return x;
  // What else is in a list is refused where x is checked.
  if (!(x[1] instanceof tf.Tensor)) return x[0] as tf.Tensor;
  const received = `a list of ${x.length}`;
  throw new ArgumentError({
    where: `${layer}: x`,
    expected: 'one tensor',
    received,
    remedy: 'Make one of them: tf.concat(list), or tf.stack(list).',
  });
}

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
  checkArray(`${layer}: shape`, given, 'sizes');
  const shape = (Array.isArray(given[0]) ? given[0] : given) as tf.Shape;
  const last = shape[shape.length - 1] ?? null;
  if (last !== null && last !== inDim) throw wrongInput(shape, outDim, inDim, layer);
  return [...shape.slice(0, -1), outDim];
}
