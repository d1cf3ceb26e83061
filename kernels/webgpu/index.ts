/** Backend 'webgpu': WGSL on tf.js's own device and command encoder, or on a device of ours (device.ts). */
import {env, registerKernel} from '@tensorflow/tfjs';
import {QUANTIZED_MATMUL, UNPACK_WEIGHT} from '../attributes.js';
import {quantizedMatMul, WEBGPU_VARIANT_FLAG} from './matmul.js';
import {unpackWeight} from './unpack.js';

/** Registers both kernels for a backend of this kind. */
export function registerWebgpuKernels(backendName = 'webgpu'): void {
  env().registerFlag(WEBGPU_VARIANT_FLAG, () => 'auto' as unknown as boolean);
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
}
