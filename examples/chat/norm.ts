import * as tf from '@tensorflow/tfjs';

/** RMSNorm: x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension: what a product may take along (ops.fusedMatMul). */
export class RmsNorm {
  /** @param weight [H], taken over */
  constructor(
    readonly weight: tf.Tensor,
    readonly epsilon: number,
  ) {
    tf.keep(weight);
  }

  get byteLength(): number {
    return this.weight.size * 4;
  }

  dispose(): void {
    this.weight.dispose();
  }
}
