/** Arguments of the public surface: what nothing reads would be ignored, and the numbers quietly others than meant. */
import * as tf from '@tensorflow/tfjs';
import {ArgumentError, didYouMean} from './errors.js';

/** Throws ArgumentError unless `options` is an object with keys among `known`. */
export function checkOptions(where: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new ArgumentError({where, expected: `an object of options: ${known.join(', ')}`, received: String(options)});
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new ArgumentError({where, expected: `options among ${known.join(', ')}`, received: `'${key}'.${didYouMean(key, known)}`});
  }
}

/** Throws ArgumentError unless `x` is a tensor that has not been disposed. */
export function checkTensor(where: string, x: tf.Tensor): void {
  if (x instanceof tf.Tensor && !x.isDisposed) return;
  const received = x instanceof tf.Tensor ? 'a disposed one' : Array.isArray(x) ? 'an array' : String(x);
  throw new ArgumentError({where, expected: 'a tensor', received, ...(Array.isArray(x) ? {remedy: 'Pass tf.tensor(...) of it.'} : {})});
}
