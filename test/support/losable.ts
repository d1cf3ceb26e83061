/** A device like 'cpu' under another name that can be lost: from then on nothing is computed on it or read from it. */
import * as tf from '@tensorflow/tfjs';

interface CpuBackend extends tf.KernelBackend {
  makeTensorInfo(...args: unknown[]): unknown;
}

let made = 0;

export interface Losable {
  readonly name: string;
  lose(): void;
  remove(): void;
}

export async function losableDevice(): Promise<Losable> {
  const name = `losable:${made++}`;
  const before = tf.getBackend();
  await tf.setBackend('cpu');
  const Backend = tf.findBackend('cpu').constructor as new () => CpuBackend;
  const backend = new Backend();
  tf.registerBackend(name, () => backend, 0);
  tf.copyRegisteredKernels('cpu', name);
  await tf.setBackend(name);
  await tf.setBackend(before);
  const gone = () => {
    throw new Error('the device is gone');
  };
  return {
    name,
    lose: () => Object.assign(backend, {makeTensorInfo: gone, readSync: gone, read: async () => gone()}),
    remove: () => tf.removeBackend(name),
  };
}
