/** Backend 'webgl': packed words in integer textures, WebGL2 only. tf.js's backend is used as it comes; nothing imports it. */
import {registerKernel} from '@tensorflow/tfjs';
import {QUANTIZED_MATMUL, UNPACK_WEIGHT} from '../attributes.js';
import {quantizedMatMul} from './matmul.js';
import {unpackWeight} from './unpack.js';

export {forceWebglVariant} from './matmul.js';

/** Registers both kernels for a backend of this kind. */
export function registerWebglKernels(backendName = 'webgl'): void {
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
}
