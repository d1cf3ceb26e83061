/** Gradients: to x through the packed weight and to the bias; none to the codes. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from './activation.js';
import {FP8_SCALED_MATMUL, QUANTIZED_MATMUL, type QuantizedMatMulAttrs, UNPACK_WEIGHT, type UnpackWeightAttrs} from './attributes.js';
import type {ScaledMatMulAttrs} from './fp8_matmul.js';
import {scaleShape} from './input_quantization.js';

/** Floats of W expanded at a time (16 MiB): dx needs W, but never the whole of it. */
const SLAB_FLOATS = 1 << 22;

/** Is a gradient being recorded? Then fused activations are taken apart into tf.js ops, which bring their own gradients. */
export function recordsGradients(): boolean {
  return (tf.engine() as unknown as {isTapeOn(): boolean}).isTapeOn();
}

/** Far below 0 these activations are 0, and minus infinity times 0 is not. */
const aboveMinus = (h: tf.Tensor) => tf.maximum(h, -1e4);

/** act(h) in tf.js ops. */
export function activateTensor(activation: Activation, h: tf.Tensor): tf.Tensor {
  switch (activation) {
    case 'relu':
      return tf.relu(h);
    case 'tanh':
      return tf.tanh(h);
    case 'sigmoid':
      return tf.sigmoid(h);
    case 'silu': {
      const x = aboveMinus(h);
      return tf.mul(x, tf.sigmoid(x));
    }
    case 'gelu': {
      const x = aboveMinus(h);
      return tf.mul(tf.mul(0.5, x), tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
    }
    case 'gelu_tanh': {
      const x = aboveMinus(h);
      const inner = tf.mul(x, tf.add(1, tf.mul(0.044715, tf.square(x))));
      return tf.mul(tf.mul(0.5, x), tf.add(1, tf.tanh(tf.mul(0.7978845608028654, inner))));
    }
  }
}

/** dy [M, N] . W [N, K] -> [M, K], a slab of W's rows at a time. */
function throughWeight(dy: tf.Tensor2D, words: tf.Tensor, attrs: QuantizedMatMulAttrs): tf.Tensor2D {
  const {layout, rowStart, rowEnd} = attrs;
  const step = Math.max(1, Math.floor(SLAB_FLOATS / Math.max(1, layout.inDim)));
  let dx: tf.Tensor2D | null = null;
  for (let begin = rowStart; begin < rowEnd; begin += step) {
    const end = Math.min(rowEnd, begin + step);
    const previous: tf.Tensor2D | null = dx;
    dx = tf.tidy((): tf.Tensor2D => {
      const unpackAttrs: UnpackWeightAttrs = {layout, rowStart: begin, rowEnd: end};
      const slab = tf.engine().runKernel(UNPACK_WEIGHT, {words}, unpackAttrs as unknown as tf.NamedAttrMap) as tf.Tensor2D;
      const part = tf.matMul(tf.slice(dy, [0, begin - rowStart], [dy.shape[0], end - begin]), slab) as tf.Tensor2D;
      return previous === null ? part : (tf.add(previous, part) as tf.Tensor2D);
    });
    previous?.dispose();
  }
  return dx as tf.Tensor2D;
}

/** None, where a scale is one that came from x; any other is no function of what is asked for. */
function throughScale({shape}: tf.Tensor2D, {layout, quantize}: ScaledMatMulAttrs): {scale?: () => tf.Tensor} {
  if (!quantize?.powersOfTwo) return {};
  return {scale: () => tf.zeros(scaleShape(quantize.granularity, shape[0], layout.inDim, quantize.block))};
}

/**
 * Registers the gradients for every backend. Rounding x to 8 bits passes the gradient straight through (Bengio et al. 2013, arXiv 1308.3432),
 * as quantisation-aware training does. UnpackWeight has no differentiable input.
 */
export function registerGradients(): void {
  for (const kernelName of [QUANTIZED_MATMUL, FP8_SCALED_MATMUL]) {
    tf.registerGradient({
      kernelName,
      inputsToSave: ['words'],
      gradFunc: (dy, saved, attrs) => {
        const words = saved[0] as tf.Tensor;
        return {
          x: () => throughWeight(dy as tf.Tensor2D, words, attrs as unknown as QuantizedMatMulAttrs),
          bias: () => tf.sum(dy as tf.Tensor2D, 0),
          ...throughScale(dy as tf.Tensor2D, attrs as unknown as ScaledMatMulAttrs),
        };
      },
    });
  }
  tf.registerGradient({kernelName: UNPACK_WEIGHT, inputsToSave: [], gradFunc: () => ({})});
}
