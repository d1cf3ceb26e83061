/** The numbers of tensors, read at once: on backends that can. */
import * as tf from '@tensorflow/tfjs';

/** Of a tensor that is of no further use. */
export function numbersOf(t: tf.Tensor): Float32Array {
  const values = Float32Array.from(t.dataSync());
  t.dispose();
  return values;
}

/** Bytes of float32, -0 as 0: the two count as equal. */
export function plusZero(t: tf.Tensor): Uint8Array {
  return new Uint8Array(Float32Array.from(t.dataSync(), (v) => v + 0).buffer);
}

/** Starts wasm and cpu, once, so that layers can name them; cpu is current. */
export async function startHostBackends(): Promise<void> {
  for (const backend of ['wasm', 'cpu']) {
    if (!(await tf.setBackend(backend))) throw new Error(`The backend '${backend}' did not start.`);
  }
}
