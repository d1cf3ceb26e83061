/** The scales of x that a kernel is given: static ones, and dynamic ones that are rounded up to powers of two. */
import * as tf from '@tensorflow/tfjs';
import {FP8_QUANTIZE} from './attributes.js';
import {type InputQuantization, quantizeAttrs, scaleTensor} from './input_quantization.js';

/** The power of two at index i has the exponent FIRST + i; those of normal float32 numbers. */
const FIRST = -126;
const LAST = 127;

/**
 * Inside a tidy, for x [M, K]: the scale as an input of Fp8Quantize or Fp8ScaledMatMul, or null where the kernel finds scales itself. Throws as scaleTensor.
 * Powers of two take a pass of their own over x: the kernels then know them as static. No gradient goes through them.
 */
export function scaleFor(q: InputQuantization, x: tf.Tensor2D): tf.Tensor | null {
  if (!q.powersOfTwo) return scaleTensor(q, ...x.shape);
  const attrs = quantizeAttrs(q, false) as unknown as tf.NamedAttrMap;
  const scales = (t: tf.Tensor) => roundedUp((tf.engine().runKernel(FP8_QUANTIZE, {x: t}, attrs) as unknown as [tf.Tensor, tf.Tensor])[1]);
  return tf.customGrad((t) => ({
    value: scales(t as tf.Tensor),
    gradFunc: () => tf.zeros(x.shape),
  }))(x);
}

/**
 * The power of two at or above each number above 0, exactly; 0, NaN and infinity stay. The nearest exponent by tf.log, which no GPU has exact, is the one
 * or the one below: comparing with its power tells.
 */
function roundedUp(scales: tf.Tensor): tf.Tensor {
  const ordinary = tf.logicalAnd(tf.greater(scales, 0), tf.lessEqual(scales, 2 ** LAST));
  const some = tf.where(ordinary, scales, tf.onesLike(scales));
  const powers = tf.tensor1d(Float32Array.from({length: LAST - FIRST + 2}, (_, i) => 2 ** Math.min(FIRST + i, LAST)));
  const nearest = tf.sub(tf.clipByValue(tf.round(tf.div(tf.log(some), Math.LN2)), FIRST, LAST), FIRST);
  const at = (index: tf.Tensor) => tf.gather(powers, tf.cast(index, 'int32'));
  const power = at(nearest);
  const up = tf.where(tf.lessEqual(some, power), power, at(tf.add(nearest, 1)));
  return tf.where(ordinary, up, scales);
}
