/** tf.js casts integers to float32 by name only, and its own shaders go by what a buffer was made as. Ours read 32-bit floats. */
import {getKernel, type KernelFunc, type TensorInfo} from '@tensorflow/tfjs';
import {asWebGPU} from './backend.js';

/** The kernel with every float32 input in the memory of one. */
export function withFloats(backendName: string, kernelFunc: KernelFunc): KernelFunc {
  return ({inputs, backend: given, attrs}) => {
    const backend = asWebGPU(given);
    const isRenamed = (t: TensorInfo | undefined) => t?.dtype === 'float32' && backend.tensorMap.get(t.dataId).dtype !== 'float32';
    const renamed = Object.entries(inputs as Record<string, TensorInfo | undefined>).filter(([, t]) => isRenamed(t)) as [
      string,
      TensorInfo,
    ][];
    if (renamed.length === 0) return kernelFunc({inputs, backend: given, attrs});
    const {kernelFunc: multiply} = getKernel('Multiply', backendName);
    const one = backend.makeTensorInfo([], 'float32', Float32Array.of(1));
    const floats = renamed.map(([name, t]) => [name, multiply({inputs: {a: t, b: one}, backend: given, attrs: {}}) as TensorInfo] as const);
    try {
      return kernelFunc({inputs: {...inputs, ...Object.fromEntries(floats)}, backend: given, attrs});
    } finally {
      for (const t of [one, ...floats.map(([, made]) => made)]) backend.disposeData(t.dataId);
    }
  };
}
