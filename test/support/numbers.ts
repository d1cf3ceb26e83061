/** The numbers of tensors. */
import * as tf from '@tensorflow/tfjs';

/** Of a tensor that is of no further use, read at once: on backends that can. */
export function numbersOf(t: tf.Tensor): Float32Array {
  const values = Float32Array.from(t.dataSync());
  t.dispose();
  return values;
}

/** The same on any backend. */
export async function numbersOfAsync(t: tf.Tensor): Promise<Float32Array> {
  const values = (await t.data()) as Float32Array;
  t.dispose();
  return values;
}

/** -0 as 0: the two count as equal. */
export const positive = (values: ArrayLike<number>): Float32Array => Float32Array.from(values, (v) => v + 0);

/** The bytes of a tensor's numbers, -0 as 0. */
export function plusZero(t: tf.Tensor): Uint8Array {
  return new Uint8Array(positive(t.dataSync()).buffer);
}

/** Starts wasm and cpu, once, so that layers can name them; cpu is current. */
export async function startHostBackends(): Promise<void> {
  for (const backend of ['wasm', 'cpu']) {
    if (!(await tf.setBackend(backend))) throw new Error(`The backend '${backend}' did not start.`);
  }
}
