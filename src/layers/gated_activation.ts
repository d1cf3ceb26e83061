/** The gating of an MLP as a layer of tf.js's graph. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import {gateTensors} from '../../kernels/fused.js';

/** Splits [.., 2F] into act(first half) * second half; of two inputs the first is the gate. */
export class GatedActivation extends tf.layers.Layer {
  static className = 'TflGatedActivation';

  constructor(
    private readonly activation: Activation,
    private readonly limit: number | null,
  ) {
    super({});
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const [gate, up] =
      Array.isArray(inputs) && inputs.length === 2 ? inputs : halves(Array.isArray(inputs) ? (inputs[0] as tf.Tensor) : inputs);
    return tf.tidy(() => gateTensors(this.activation, gate as tf.Tensor, up as tf.Tensor, this.limit));
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    if (Array.isArray(inputShape[0])) return inputShape[0] as tf.Shape;
    const shape = inputShape as number[];
    return [...shape.slice(0, -1), (shape[shape.length - 1] as number) / 2];
  }
}

function halves(t: tf.Tensor): tf.Tensor[] {
  return tf.split(t, 2, t.rank - 1);
}
