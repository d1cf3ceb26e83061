import * as tf from '@tensorflow/tfjs';

/** RMSNorm: x / sqrt(mean(x^2) + epsilon) * gain, over the last dimension. */
export class RmsNorm {
  /** gain * sqrt(H), so that the sum of squares need not be divided by H. */
  private readonly gain: tf.Tensor;
  private readonly epsilon: tf.Tensor;

  /** @param gain [H], taken over */
  constructor(gain: tf.Tensor, epsilon: number) {
    const size = gain.size;
    this.gain = tf.keep(tf.mul(gain, Math.sqrt(size)));
    this.epsilon = tf.keep(tf.scalar(epsilon * size));
    gain.dispose();
  }

  /** x [M, H] -> [M, H]; call it inside a tidy. */
  forward(x: tf.Tensor2D): tf.Tensor2D {
    // One token's sum of squares is a dot product: one op in place of two.
    const sum = x.shape[0] === 1 ? tf.matMul(x, x, false, true) : tf.sum(tf.square(x), 1, true);
    return tf.mul(tf.mul(x, tf.rsqrt(tf.add(sum, this.epsilon))), this.gain) as tf.Tensor2D;
  }

  get byteLength(): number {
    return this.gain.size * 4;
  }

  dispose(): void {
    tf.dispose([this.gain, this.epsilon]);
  }
}
