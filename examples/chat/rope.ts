/** Rotary position embedding in the half-split form (rotate_half). */
import * as tf from '@tensorflow/tfjs';
import type {LlamaConfig} from './config.js';

/** What turns vectors at some positions; made once a call for all layers, inside the caller's tidy. */
export interface Rotation {
  /** One position: [1, D, D]. Several: cosines [M, 1, D]. */
  readonly cos: tf.Tensor;
  /** Several positions: sines [M, 1, D]. */
  readonly sin: tf.Tensor | null;
}

/**
 * Turns each pair (x[i], x[i + D/2]) at position p by the angle p * frequency[i]. All is also scaled by D^(-1/4), so that q . k comes out
 * divided by sqrt(D).
 */
export class RotaryEmbedding {
  private readonly frequencies: Float64Array;
  /** [D, D]: x . swap = rotate_half(x). */
  private readonly swap: tf.Tensor2D;

  /** @param divisors [D / 2], from a GGUF file's rope_freqs.weight: each frequency is divided by its own */
  constructor(
    private readonly config: LlamaConfig,
    divisors: ArrayLike<number> | null = null,
  ) {
    this.frequencies = frequenciesOf(config);
    if (divisors !== null) this.frequencies.forEach((f, i) => (this.frequencies[i] = f / (divisors[i] as number)));
    this.swap = tf.keep(this.matrix(() => [0, 1]));
  }

  /** For positions [start, start + count). */
  at(start: number, count: number): Rotation {
    const {headDim: dim} = this.config;
    const half = dim / 2;
    const size = dim ** -0.25;
    const turn = (position: number, i: number): [number, number] => {
      const angle = position * (this.frequencies[i] as number);
      return [Math.cos(angle) * size, Math.sin(angle) * size];
    };
    // For one position a matrix holds both parts of the turn: one matmul a layer, and the work is small.
    if (count === 1)
      return {
        cos: tf.reshape(
          this.matrix((i) => turn(start, i)),
          [1, dim, dim],
        ),
        sin: null,
      };
    const [cos, sin] = [new Float32Array(count * dim), new Float32Array(count * dim)];
    for (let p = 0; p < count; p++) {
      for (let i = 0; i < half; i++) {
        const at = p * dim + i;
        const [c, s] = turn(start + p, i);
        cos[at] = cos[at + half] = c;
        sin[at] = sin[at + half] = s;
      }
    }
    return {cos: tf.tensor3d(cos, [count, 1, dim]), sin: tf.tensor3d(sin, [count, 1, dim])};
  }

  /** x [M, heads, D] -> the same shape, turned; call it inside a tidy. */
  turn(x: tf.Tensor3D, {cos, sin}: Rotation): tf.Tensor3D {
    const [count, heads, dim] = x.shape;
    if (sin === null) return tf.matMul(x, cos as tf.Tensor3D);
    const swapped = tf.reshape(tf.matMul(tf.reshape(x, [count * heads, dim]), this.swap), x.shape);
    return tf.add(tf.mul(x, cos), tf.mul(swapped, sin));
  }

  dispose(): void {
    this.swap.dispose();
  }

  /** [D, D] that turns pair i by the angle of this cosine and sine. */
  private matrix(turn: (i: number) => [number, number]): tf.Tensor2D {
    const {headDim: dim} = this.config;
    const half = dim / 2;
    const values = new Float32Array(dim * dim);
    for (let i = 0; i < half; i++) {
      const [cos, sin] = turn(i);
      const [low, high] = [i * dim, (i + half) * dim];
      values[low + i] = cos;
      values[low + i + half] = sin;
      values[high + i] = -sin;
      values[high + i + half] = cos;
    }
    return tf.tensor2d(values, [dim, dim]);
  }
}

/** Radians a position, for each of the D / 2 pairs. */
function frequenciesOf({headDim, ropeTheta, ropeScaling}: LlamaConfig): Float64Array {
  const plain = Float64Array.from({length: headDim / 2}, (_, i) => ropeTheta ** ((-2 * i) / headDim));
  if (ropeScaling.kind === 'none') return plain;
  if (ropeScaling.kind === 'linear') return plain.map((f) => f / ropeScaling.factor);
  // Source: transformers' _compute_llama3_parameters: long waves are stretched, short ones kept, those between blended.
  const {factor, lowFrequencyFactor, highFrequencyFactor, originalContext} = ropeScaling;
  return plain.map((f) => {
    const turns = (originalContext * f) / (2 * Math.PI);
    const blend = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
    const kept = Math.min(1, Math.max(0, blend));
    return (1 - kept) * (f / factor) + kept * f;
  });
}
