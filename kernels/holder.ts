/** Where tf.js keeps a tensor now, by its own books: they are public fields at run time. */
import * as tf from '@tensorflow/tfjs';

interface Books {
  /** Backends that have started, by name; a promise while one starts. */
  readonly registry: Readonly<Record<string, object>>;
  readonly state: {readonly tensorInfo: WeakMap<object, {backend: object}>};
}

const books = () => tf.engine() as unknown as Books;

/** The backend of that name, as far as it has begun to start. */
export function backendOf(name: string): object | undefined {
  return books().registry[name];
}

/** The backend that holds a tensor's data: shards move, and tf.js takes tensors to where they are used. */
export function holderOf(t: tf.Tensor): object | undefined {
  return books().state.tensorInfo.get(t.dataId)?.backend;
}

/** Whether its backend holds the data in memory of its own: what they were made from is free. */
export function hasOwnCopy(t: tf.Tensor): boolean {
  const holder = holderOf(t) as {tensorMap?: {get(dataId: object): {values: unknown} | undefined}} | undefined;
  // On webgpu they stay on the host until they are uploaded.
  return holderNameOf(t) === 'wasm' || holder?.tensorMap?.get(t.dataId)?.values === null;
}

/** Its name; undefined where it is not registered any more. */
export function holderNameOf(t: tf.Tensor): string | undefined {
  const {registry} = books();
  const backend = holderOf(t);
  return Object.keys(registry).find((name) => registry[name] === backend);
}
