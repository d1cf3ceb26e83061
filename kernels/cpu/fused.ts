/** GatedActivation and RmsNorm on cpu: float64, rounded once. */
import type {KernelFunc, TensorInfo, TypedArray} from '@tensorflow/tfjs';
import {activate} from '../activation.js';
import type {GatedActivationAttrs, RmsNormAttrs} from '../fused.js';

interface CpuBackend {
  data: {get(dataId: object): {values: TypedArray}};
  makeTensorInfo(shape: number[], dtype: string, values: TypedArray): TensorInfo;
}

export const gatedActivation: KernelFunc = ({inputs, backend, attrs}) => {
  const cpu = backend as unknown as CpuBackend;
  const {activation} = attrs as unknown as GatedActivationAttrs;
  const [rows, width] = (inputs.x as TensorInfo).shape as [number, number];
  const x = cpu.data.get((inputs.x as TensorInfo).dataId).values;
  const n = width / 2;
  const y = Float32Array.from({length: rows * n}, (_, i) => {
    const at = Math.floor(i / n) * width + (i % n);
    return activate(activation, x[at] as number) * (x[at + n] as number);
  });
  return cpu.makeTensorInfo([rows, n], 'float32', y);
};

export const rmsNorm: KernelFunc = ({inputs, backend, attrs}) => {
  const cpu = backend as unknown as CpuBackend;
  const {epsilon} = attrs as unknown as RmsNormAttrs;
  const [rows, k] = (inputs.x as TensorInfo).shape as [number, number];
  const x = cpu.data.get((inputs.x as TensorInfo).dataId).values;
  const weight = cpu.data.get((inputs.weight as TensorInfo).dataId).values;
  const y = new Float32Array(rows * k);
  for (let m = 0; m < rows; m++) {
    let sum = 0;
    for (let j = 0; j < k; j++) sum += (x[m * k + j] as number) ** 2;
    const scale = 1 / Math.sqrt(sum / k + epsilon);
    for (let j = 0; j < k; j++) y[m * k + j] = (x[m * k + j] as number) * scale * (weight[j] as number);
  }
  return cpu.makeTensorInfo([rows, k], 'float32', y);
};
