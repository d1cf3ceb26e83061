/** Backend 'cpu': the oracle for every other backend. */
import {type KernelFunc, registerKernel, type TensorInfo, type TypedArray} from '@tensorflow/tfjs';
import {activate} from '../activation.js';
import {
  FP8_QUANTIZE,
  FP8_SCALED_MATMUL,
  QUANTIZED_MATMUL,
  type QuantizedMatMulAttrs,
  UNPACK_WEIGHT,
  type UnpackWeightAttrs,
} from '../attributes.js';
import {scaledMatMul} from '../fp8_matmul.js';
import {GATED_ACTIVATION, RMS_NORM} from '../fused.js';
import {rowOutside} from '../rows.js';
import {partsOf} from '../words.js';
import {gatedActivation, rmsNorm} from './fused.js';
import {fp8Quantize} from './quantize.js';
import {RowReader} from './row.js';

/** The part of tf.js's cpu backend that we use. */
interface CpuBackend {
  data: {get(dataId: object): {values: TypedArray}};
  makeTensorInfo(shape: number[], dtype: string, values: TypedArray): TensorInfo;
}

const valuesOf = (backend: CpuBackend, t: TensorInfo) => backend.data.get(t.dataId).values;

/** One float64 sum an output, rounded once after bias and activation. */
export const quantizedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  const cpu = backend as unknown as CpuBackend;
  const {layout, rowStart, rowEnd, activation} = attrs as unknown as QuantizedMatMulAttrs;
  const x = valuesOf(cpu, inputs.x as TensorInfo) as Float32Array;
  const bias = inputs.bias === undefined ? null : (valuesOf(cpu, inputs.bias as TensorInfo) as Float32Array);
  const reader = new RowReader(layout, partsOf(layout, valuesOf(cpu, inputs.words as TensorInfo) as Int32Array));
  const inDim = layout.inDim;
  const rows = rowEnd - rowStart;
  const m = (inputs.x as TensorInfo).shape[0] as number;
  const y = new Float32Array(m * rows);
  const row = new Float32Array(inDim);
  for (let n = 0; n < rows; n++) {
    reader.read(rowStart + n, row);
    for (let i = 0; i < m; i++) {
      let sum = 0;
      for (let k = 0; k < inDim; k++) sum += (x[i * inDim + k] as number) * (row[k] as number);
      y[i * rows + n] = activate(activation, bias === null ? sum : sum + (bias[n] as number));
    }
  }
  return cpu.makeTensorInfo([m, rows], 'float32', y);
};

export const unpackWeight: KernelFunc = ({inputs, backend, attrs}) => {
  const cpu = backend as unknown as CpuBackend;
  const {layout, rowStart, rowEnd} = attrs as unknown as UnpackWeightAttrs;
  const reader = new RowReader(layout, partsOf(layout, valuesOf(cpu, inputs.words as TensorInfo) as Int32Array));
  const chosen = inputs.rows === undefined ? null : (valuesOf(cpu, inputs.rows as TensorInfo) as Int32Array);
  const count = chosen === null ? rowEnd - rowStart : chosen.length;
  const out = new Float32Array(count * layout.inDim);
  for (let i = 0; i < count; i++) {
    const n = rowStart + (chosen === null ? i : (chosen[i] as number));
    if (n < rowStart || n >= rowEnd) throw rowOutside(i, rowEnd - rowStart);
    reader.read(n, out.subarray(i * layout.inDim, (i + 1) * layout.inDim));
  }
  return cpu.makeTensorInfo([count, layout.inDim], 'float32', out);
};

/** Registers both kernels for a backend of this kind. */
export function registerCpuKernels(backendName = 'cpu'): void {
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
  registerKernel({kernelName: GATED_ACTIVATION, backendName, kernelFunc: gatedActivation});
  registerKernel({kernelName: RMS_NORM, backendName, kernelFunc: rmsNorm});
  registerKernel({kernelName: FP8_QUANTIZE, backendName, kernelFunc: fp8Quantize});
  registerKernel({kernelName: FP8_SCALED_MATMUL, backendName, kernelFunc: scaledMatMul(fp8Quantize, quantizedMatMul)});
}
