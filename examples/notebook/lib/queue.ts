/** tf.js has one current backend for the whole page: work that sets it takes turns. */
import * as tf from '@tensorflow/tfjs';

let last: Promise<unknown> = Promise.resolve();

/** Runs `work` with `backend` current, after whatever was asked for before. */
export function onBackend<T>(backend: string, work: () => Promise<T> | T): Promise<T> {
  const run = last.then(async () => {
    await tf.setBackend(backend);
    return work();
  });
  last = run.catch(() => undefined);
  return run;
}

/** Lets the page draw and hear a click; rejects with the signal's reason. */
export async function breathe(signal?: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  signal?.throwIfAborted();
}
