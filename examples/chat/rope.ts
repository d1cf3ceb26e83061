/** Rotary position embedding in the half-split form (rotate_half). */
import * as tf from '@tensorflow/tfjs';
import type {Rotation} from 'tfjs-linear';
import type {LlamaConfig} from './config.js';

/**
 * Turns each pair (x[i], x[i + D/2]) at position p by the angle p * frequency[i]. All is also scaled by D^(-1/4), so that q . k comes out
 * divided by sqrt(D).
 */
export class RotaryEmbedding {
  private readonly frequencies: Float64Array;

  /** @param divisors [D / 2], from a GGUF file's rope_freqs.weight: each frequency is divided by its own */
  constructor(
    private readonly config: LlamaConfig,
    divisors: ArrayLike<number> | null = null,
  ) {
    this.frequencies = frequenciesOf(config);
    if (divisors !== null) this.frequencies.forEach((f, i) => (this.frequencies[i] = f / (divisors[i] as number)));
  }

  /** For positions [start, start + count): made once a call for all layers, inside the caller's tidy. */
  at(start: number, count: number): Rotation {
    const {headDim} = this.config;
    const half = headDim / 2;
    const size = headDim ** -0.25;
    const [cos, sin] = [new Float32Array(count * half), new Float32Array(count * half)];
    for (let p = 0; p < count; p++) {
      this.frequencies.forEach((frequency, i) => {
        const angle = (start + p) * frequency;
        cos[p * half + i] = Math.cos(angle) * size;
        sin[p * half + i] = Math.sin(angle) * size;
      });
    }
    // webgl composes the turn of tf.js ops: of one position one product with a matrix, as each op costs a dispatch.
    if (count === 1 && tf.getBackend() === 'webgl') return {matrix: matrixOf(cos, sin)};
    return {cos: tf.tensor2d(cos, [count, half]), sin: tf.tensor2d(sin, [count, half])};
  }
}

/** [1, D, D] that turns pair i by the angle of cos[i] and sin[i]. */
function matrixOf(cos: Float32Array, sin: Float32Array): tf.Tensor3D {
  const half = cos.length;
  const dim = 2 * half;
  const values = new Float32Array(dim * dim);
  for (let i = 0; i < half; i++) {
    const [low, high] = [i * dim, (i + half) * dim];
    values[low + i] = values[high + i + half] = cos[i] as number;
    values[low + i + half] = sin[i] as number;
    values[high + i] = -(sin[i] as number);
  }
  return tf.tensor3d(values, [1, dim, dim]);
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
