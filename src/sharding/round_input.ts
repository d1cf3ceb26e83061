/** x rounded once, before it is spread: a device that sees some columns cannot know the largest number of a row. */
import * as tf from '@tensorflow/tfjs';
import {FP8_QUANTIZE} from '../../kernels/attributes.js';
import {recordsGradients} from '../../kernels/gradients.js';
import {type InputQuantization, quantizeAttrs} from '../../kernels/input_quantization.js';
import {scaleFor} from '../../kernels/power_scales.js';
import {asFloats} from '../arguments.js';

/** q * s of x [M, K], float32, on the current backend: what the products then use as it is. The gradient goes straight through. */
export function roundInput(x: tf.Tensor2D, q: InputQuantization): tf.Tensor2D {
  const [m, k] = x.shape;
  const attrs = quantizeAttrs(q, true);
  if (m === 0 || k === 0) return x;
  const rounded = () => {
    const rows = asFloats(x);
    const inputs: tf.NamedTensorMap = {x: rows};
    const scale = scaleFor(q, rows);
    if (scale !== null) inputs.scale = scale;
    const [values] = tf.engine().runKernel(FP8_QUANTIZE, inputs, attrs as unknown as tf.NamedAttrMap) as unknown as [tf.Tensor, tf.Tensor];
    return values;
  };
  return tf.tidy(() => {
    if (!recordsGradients()) return rounded() as tf.Tensor2D;
    return tf.customGrad(() => ({value: rounded(), gradFunc: (dy: tf.Tensor) => dy}))(x) as tf.Tensor2D;
  });
}
