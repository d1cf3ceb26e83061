/** Backend 'tensorflow' (tfjs-node, tfjs-node-gpu). */
import {type KernelFunc, registerKernel, type TensorInfo} from '@tensorflow/tfjs';
import {QUANTIZED_MATMUL, type QuantizedMatMulAttrs, UNPACK_WEIGHT, type UnpackWeightAttrs} from '../attributes.js';
import {rowOutside} from '../rows.js';
import type {NodeBackend} from './backend.js';
import {composedMatMul, composedUnpack} from './composed/index.js';

export const quantizedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  return composedMatMul(
    backend as unknown as NodeBackend,
    inputs as never,
    attrs as unknown as QuantizedMatMulAttrs,
    process.env.DEV === '1',
  );
};

export const unpackWeight: KernelFunc = ({inputs, backend, attrs}) => {
  const {words, rows} = inputs as {words: TensorInfo; rows?: TensorInfo};
  const node = backend as unknown as NodeBackend;
  const a = attrs as unknown as UnpackWeightAttrs;
  const chosen = rows === undefined ? null : [...node.readSync(rows.dataId)];
  const bad = chosen === null ? -1 : chosen.findIndex((n) => n < 0 || n >= a.rowEnd - a.rowStart);
  if (bad >= 0) throw rowOutside(bad, a.rowEnd - a.rowStart);
  return composedUnpack(node, words, chosen, a, process.env.DEV === '1');
};

export function registerTensorflowKernels(backendName = 'tensorflow'): void {
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
}
