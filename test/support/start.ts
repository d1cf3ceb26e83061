/** Backends for programs without jasmine (the bench, the support matrix), and where a page finds tf.js's wasm files. */
import * as tf from '@tensorflow/tfjs';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import {loadTensorflow} from '../../kernels/tensorflow/load.js';
import {IN_BROWSER} from './environment.js';
import {registerWebGPU} from './webgpu.js';

// In Node the backend finds its file beside itself.
if (IN_BROWSER) setWasmPaths('/base/node_modules/@tensorflow/tfjs-backend-wasm/dist/');

/** Makes the backend current. → null, or why it does not start. */
export async function startBackend(name: string): Promise<string | null> {
  try {
    if (name === 'webgpu') await registerWebGPU();
    if (name === 'tensorflow' && !IN_BROWSER) await loadTensorflow();
    if (tf.engine().registryFactory[name] === undefined) return 'it is not registered';
    return (await tf.setBackend(name)) ? null : 'it did not start';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
