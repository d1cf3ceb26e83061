/** How a layer rounds x, from its arguments; a scale given as a tensor is a weight of the layer. */
import type * as tf from '@tensorflow/tfjs';
import {checkScale, type InputQuantization, quantizeAttrs} from '../../kernels/input_quantization.js';
import {checkTensor} from '../arguments.js';
import type {Float8Config} from '../config/float8.js';
import {inputQuantizationOf, inputScaleShape} from './float8.js';

export interface InputRounding {
  /** Without its scale where `scaleShape` is there; null: x stays as it is. */
  readonly inputQuantization: InputQuantization | null;
  readonly scaleShape: readonly number[] | null;
  /** The given tensor, the caller's; null: the variable's values come later. */
  readonly scale: tf.Tensor | null;
}

/**
 * `given`: the argument; `savedShape`: the scale's shape in a saved config, which has no values. null of `given`: what the Float8Config says.
 * Throws ArgumentError or ShapeError for a scheme that no x would suit.
 */
export function resolveInput(
  given: InputQuantization | 'none' | null,
  savedShape: readonly number[] | null,
  float8: Float8Config | null,
  inDim: number,
  where: string,
): InputRounding {
  if (given === 'none') return {inputQuantization: null, scaleShape: null, scale: null};
  if (given === null) {
    if (float8 === null) return {inputQuantization: null, scaleShape: null, scale: null};
    return {inputQuantization: inputQuantizationOf(float8), scaleShape: inputScaleShape(float8, inDim, where), scale: null};
  }
  const {scale, ...rest} = given;
  // The shape of x's rows is not known yet: any number of them will do here.
  const check = (shape: readonly number[]) => {
    quantizeAttrs({...rest, scale: 1}, true);
    checkScale(given, shape, shape[0] ?? 1, inDim);
  };
  if (savedShape !== null) {
    check(savedShape);
    return {inputQuantization: rest, scaleShape: savedShape, scale: null};
  }
  if (scale !== undefined && typeof scale !== 'number') {
    checkTensor(`${where}: inputQuantization: scale`, scale);
    check(scale.shape);
    return {inputQuantization: rest, scaleShape: scale.shape, scale};
  }
  quantizeAttrs(given, true);
  return {inputQuantization: given, scaleShape: null, scale: null};
}
