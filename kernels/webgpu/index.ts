/** Backend 'webgpu': WGSL on tf.js's own device and command encoder, or on a device of ours (device.ts). */
import {registerKernel} from '@tensorflow/tfjs';
import {UNPACK_WEIGHT} from '../attributes.js';
import {unpackWeight} from './unpack.js';

/** Registers both kernels for a backend of this kind. */
export function registerWebgpuKernels(backendName = 'webgpu'): void {
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
}
