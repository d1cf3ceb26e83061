/** Backend 'webgpu': WGSL on tf.js's own device and command encoder, or on a device of ours (device.ts). */
import {env, type KernelFunc, registerKernel} from '@tensorflow/tfjs';
import {ATTEND} from '../attention.js';
import {FP8_QUANTIZE, FP8_SCALED_MATMUL, QUANTIZED_MATMUL, UNPACK_WEIGHT} from '../attributes.js';
import {scaledMatMul} from '../fp8_matmul.js';
import {GATED_ACTIVATION, RMS_NORM} from '../fused.js';
import {FUSED_MATMUL} from '../fused_matmul.js';
import {attend} from './attention.js';
import {withFloats} from './floats.js';
import {gatedActivation, rmsNorm} from './fused.js';
import {fusedMatMul} from './fused_matmul.js';
import {quantizedMatMul, WEBGPU_VARIANT_FLAG} from './matmul.js';
import {fp8Quantize} from './quantize.js';
import {unpackWeight} from './unpack.js';

/** Registers the kernels for a backend of this kind. */
export function registerWebgpuKernels(backendName = 'webgpu'): void {
  env().registerFlag(WEBGPU_VARIANT_FLAG, () => 'auto' as unknown as boolean);
  const register = (kernelName: string, kernelFunc: KernelFunc) =>
    registerKernel({kernelName, backendName, kernelFunc: withFloats(backendName, kernelFunc)});
  register(QUANTIZED_MATMUL, quantizedMatMul);
  register(FUSED_MATMUL, fusedMatMul);
  register(UNPACK_WEIGHT, unpackWeight);
  register(GATED_ACTIVATION, gatedActivation);
  register(RMS_NORM, rmsNorm);
  register(ATTEND, attend);
  register(FP8_QUANTIZE, fp8Quantize);
  register(FP8_SCALED_MATMUL, scaledMatMul(fp8Quantize, quantizedMatMul));
}
