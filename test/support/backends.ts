import * as tf from '@tensorflow/tfjs';
import {IN_BROWSER} from './environment.js';
import {registerWebGPU} from './webgpu.js';

/** The backends that every kernel spec runs on. A run of others (npm run test:tensorflow) names them before it loads the specs. */
export const BACKENDS: readonly string[] =
  (globalThis as {tflBackends?: string[]}).tflBackends ?? (IN_BROWSER ? ['cpu', 'wasm', 'webgl'] : ['cpu', 'wasm']);

/** The same and webgpu, where every product is a shader that takes a while to compile. */
export const BACKENDS_AND_WEBGPU: readonly string[] = (globalThis as {tflBackends?: string[]}).tflBackends ?? [...BACKENDS, 'webgpu'];

/**
 * Declares the specs of `define` once a backend, each with that backend set before it. Set it nowhere else in them: a `beforeAll` inside runs
 * before the backend is set.
 */
export function onEachBackend(define: (backend: string) => void, backends: readonly string[] = BACKENDS): void {
  for (const backend of backends) {
    describe(`on ${backend}`, () => {
      beforeEach(async () => {
        if (backend === 'webgpu') await registerWebGPU();
        if (!(await tf.setBackend(backend))) throw new Error(`The backend '${backend}' did not start.`);
      });
      afterAll(async () => {
        await tf.setBackend('cpu');
      });
      define(backend);
    });
  }
}
