/** Our kernels for a backend that has none yet: inputs are read to the host, kernels/cpu computes, the result is written back. */
import {type KernelBackend, type KernelFunc, registerKernel, type TensorInfo, type TypedArray} from '@tensorflow/tfjs';
import {FP8_QUANTIZE, FP8_SCALED_MATMUL, QUANTIZED_MATMUL, UNPACK_WEIGHT} from '../../kernels/attributes.js';
import {quantizedMatMul, unpackWeight} from '../../kernels/cpu/index.js';
import {fp8Quantize} from '../../kernels/cpu/quantize.js';
import {scaledMatMul} from '../../kernels/fp8_matmul.js';

/** A kernel of kernels/cpu over the memory of any backend that can be read at once. */
function onHost(kernel: KernelFunc): KernelFunc {
  return ({inputs, backend, attrs}) => {
    const device = backend as unknown as KernelBackend;
    const host = {
      data: {get: (dataId: object) => ({values: device.readSync(dataId)})},
      makeTensorInfo: (shape: number[], dtype: TensorInfo['dtype'], values: TypedArray): TensorInfo => ({
        dataId: device.write(values, shape, dtype),
        shape,
        dtype,
      }),
    };
    return kernel({inputs, backend: host, attrs});
  };
}

export function registerHostKernels(backendName: string): void {
  const [multiply, quantize] = [onHost(quantizedMatMul), onHost(fp8Quantize)];
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: onHost(unpackWeight)});
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: multiply});
  registerKernel({kernelName: FP8_QUANTIZE, backendName, kernelFunc: quantize});
  registerKernel({kernelName: FP8_SCALED_MATMUL, backendName, kernelFunc: scaledMatMul(quantize, multiply)});
}
