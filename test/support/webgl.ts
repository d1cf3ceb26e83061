/** tf.js's webgl backend for specs: in the browser only, and every spec must give back what it took on the GPU. */
import * as tf from '@tensorflow/tfjs';
import type {WebglBackend} from '../../kernels/webgl/backend.js';
import {registerWebglKernels} from '../../kernels/webgl/index.js';
import {IN_BROWSER} from './environment.js';

export function webglBackend(): WebglBackend {
  return tf.backend() as unknown as WebglBackend;
}

/** Bytes of live tensors' textures. */
export function gpuBytes(): number {
  return (tf.memory() as unknown as {numBytesInGPU: number}).numBytesInGPU;
}

/** A suite on backend 'webgl'; Node has none. Fails a spec after which GPU bytes have grown. */
export function describeWebgl(name: string, define: () => void): void {
  if (!IN_BROWSER) return;
  describe(`${name} on webgl`, () => {
    let before = 0;
    beforeAll(() => {
      if (tf.getKernel('QuantizedMatMul', 'webgl') === undefined) registerWebglKernels();
    });
    beforeEach(async () => {
      if (!(await tf.setBackend('webgl'))) throw new Error("The backend 'webgl' did not start.");
      before = gpuBytes();
    });
    afterEach(() => {
      const grown = gpuBytes() - before;
      if (grown !== 0) fail(`The spec left ${grown} bytes on the GPU.`);
    });
    afterAll(async () => {
      await tf.setBackend('cpu');
    });
    define();
  });
}

/** Runs `f` with tf.env() flags set, and sets them back. Tensors made inside must be gone at its end. */
export async function withFlags(flags: Readonly<Record<string, boolean | number | string>>, f: () => Promise<void>): Promise<void> {
  const env = tf.env();
  const saved = Object.keys(flags).map((name) => [name, env.get(name)] as const);
  const set = (name: string, value: unknown) => env.set(name, value as boolean);
  try {
    for (const [name, value] of Object.entries(flags)) set(name, value);
    await f();
  } finally {
    for (const [name, value] of saved) set(name, value);
  }
}
