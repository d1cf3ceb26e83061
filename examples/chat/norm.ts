import * as tf from '@tensorflow/tfjs';
import {ops} from 'tfjs-linear';

/** RMSNorm: x / sqrt(mean(x^2) + epsilon) * gain, over the last dimension. */
export class RmsNorm {
  /** @param gain [H], taken over */
  constructor(
    private readonly gain: tf.Tensor,
    private readonly epsilon: number,
  ) {
    tf.keep(gain);
  }

  /** x [M, H] -> [M, H]. */
  forward(x: tf.Tensor2D): tf.Tensor2D {
    return ops.rmsNorm(x, this.gain, this.epsilon) as tf.Tensor2D;
  }

  get byteLength(): number {
    return this.gain.size * 4;
  }

  dispose(): void {
    this.gain.dispose();
  }
}
