/** Products with a float32 weight [N, K]. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import {quantizedMatMul} from '../../kernels/contract.js';
import {activateTensor, recordsGradients} from '../../kernels/gradients.js';
import {floatLayout, type WeightLayout} from '../../kernels/layout.js';
import {remember} from '../../kernels/memo.js';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {checkTensor} from '../arguments.js';
import type {DenseWeight} from './dense_weight.js';

/** Backends whose float32 products are ours: wasm, and workers, where tf.js's would be plain loops on this thread. */
const OURS = /^(wasm|worker:\d+)$/;

/**
 * act(x . W^T + b), x [..., K], as the caller has checked. On wasm our own kernel reads the float32 words where they lie: tf.js is 8 to 12 times
 * slower with W as [N, K] there than with [K, N] (34 against 2.8 ms at M = 1, K = N = 4096; `npm run bench`).
 */
export function denseMatMul(x: tf.Tensor, weight: DenseWeight, bias: tf.Tensor1D | null, activation: Activation | null): tf.Tensor {
  const {outDim, inDim, tensor} = weight;
  checkTensor('linear layer: weight', tensor);
  return tf.tidy(() => {
    const m = x.shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const outShape = [...x.shape.slice(0, -1), outDim];
    if (m === 0 || outDim === 0) return tf.zeros(outShape);
    if (OURS.test(tf.getBackend()) && !recordsGradients()) {
      return quantizedMatMul(x, QuantizedWeight.overFloats(denseLayout(outDim, inDim), tensor), {bias, activation});
    }
    let y: tf.Tensor = tf.matMul(tf.reshape(x, [m, inDim]), tensor, false, true);
    if (bias !== null) y = tf.add(y, bias);
    if (activation !== null) y = activateTensor(activation, y);
    return tf.reshape(y, outShape);
  });
}

const layouts = new Map<string, WeightLayout>();

/** float32 numbers as they are, 32 bits a code. */
export function denseLayout(outDim: number, inDim: number): WeightLayout {
  return remember(layouts, `${outDim},${inDim}`, () => floatLayout('float32', outDim, inDim));
}

/** Numbers within [-bound, bound], NaN as -bound. */
export function clipValues(weight: tf.Tensor2D, bound: number): tf.Tensor2D {
  // NaN first: tf.js on webgl clips nothing of a texel of four that holds one.
  return tf.clipByValue(tf.where(tf.isNaN(weight), tf.fill(weight.shape, -bound), weight) as tf.Tensor2D, -bound, bound);
}
