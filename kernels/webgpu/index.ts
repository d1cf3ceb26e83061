/** Backend 'webgpu': WGSL on tf.js's own device and command encoder, or on a device of ours (device.ts). */
import {env, registerKernel} from '@tensorflow/tfjs';
import {FP8_QUANTIZE, FP8_SCALED_MATMUL, QUANTIZED_MATMUL, UNPACK_WEIGHT} from '../attributes.js';
import {scaledMatMul} from '../fp8_matmul.js';
import {GATED_ACTIVATION, RMS_NORM} from '../fused.js';
import {gatedActivation, rmsNorm} from './fused.js';
import {quantizedMatMul, WEBGPU_VARIANT_FLAG} from './matmul.js';
import {fp8Quantize} from './quantize.js';
import {unpackWeight} from './unpack.js';

/** Registers the kernels for a backend of this kind. */
export function registerWebgpuKernels(backendName = 'webgpu'): void {
  env().registerFlag(WEBGPU_VARIANT_FLAG, () => 'auto' as unknown as boolean);
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
  registerKernel({kernelName: GATED_ACTIVATION, backendName, kernelFunc: gatedActivation});
  registerKernel({kernelName: RMS_NORM, backendName, kernelFunc: rmsNorm});
  registerKernel({kernelName: FP8_QUANTIZE, backendName, kernelFunc: fp8Quantize});
  registerKernel({kernelName: FP8_SCALED_MATMUL, backendName, kernelFunc: scaledMatMul(fp8Quantize, quantizedMatMul)});
}
