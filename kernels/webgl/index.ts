/** Backend 'webgl': packed words in integer textures, WebGL2 only. tf.js's backend is used as it comes; nothing imports it. */
import {env, registerKernel} from '@tensorflow/tfjs';
import {QUANTIZED_MATMUL, UNPACK_WEIGHT} from '../attributes.js';
import {quantizedMatMul, WEBGL_VARIANT_FLAG} from './matmul.js';
import {unpackWeight} from './unpack.js';

/** Registers both kernels for a backend of this kind. */
export function registerWebglKernels(backendName = 'webgl'): void {
  env().registerFlag(WEBGL_VARIANT_FLAG, () => 'auto' as unknown as boolean);
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
}
