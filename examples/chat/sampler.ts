/** Which token comes next. */
import * as tf from '@tensorflow/tfjs';

/** Index of the largest logit; the first of equals. */
export function argMax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
  return best;
}

/** The `count` largest logits with their ids, largest first. */
export function topLogits(logits: ArrayLike<number>, count: number): {ids: number[]; logits: number[]} {
  const ids = Array.from({length: logits.length}, (_, i) => i);
  ids.sort((a, b) => (logits[b] as number) - (logits[a] as number));
  const top = ids.slice(0, count);
  return {ids: top, logits: top.map((id) => logits[id] as number)};
}

/**
 * Draws from softmax(logits / temperature); temperature 0 takes the largest.
 * @param random in [0, 1)
 */
export function sample(logits: ArrayLike<number>, temperature: number, random: () => number): number {
  const best = argMax(logits);
  if (temperature === 0) return best;
  const largest = logits[best] as number;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  let left = random() * sum;
  for (let i = 0; i < weights.length; i++) {
    left -= weights[i] as number;
    if (left < 0) return i;
  }
  // Rounding left a little over.
  return best;
}

/** As `sample`, of logits [1, V] on the backend. With temperature 0 they stay there: one number is read, the place of the largest. */
export async function choose(logits: tf.Tensor2D, temperature: number, random: () => number): Promise<number> {
  if (temperature !== 0) return sample((await logits.data()) as Float32Array, temperature, random);
  const best = tf.argMax(logits, 1);
  try {
    return (await best.data())[0] as number;
  } finally {
    best.dispose();
  }
}

/** Repeatable numbers in [0, 1): mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
