/** GatedActivation and RmsNorm on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {GatedActivationAttrs, RmsNormAttrs} from '../fused.js';
import {ACTIVATION_KINDS} from './matmul.js';
import {heapOf, type WasmBackend} from './module.js';

export const gatedActivation: KernelFunc = ({inputs, backend, attrs}) => {
  const {activation} = attrs as unknown as GatedActivationAttrs;
  const heap = heapOf(backend);
  const x = inputs.x as TensorInfo;
  const [rows, width] = x.shape as [number, number];
  const out = (backend as unknown as WasmBackend).makeOutput([rows, width / 2], 'float32');
  heap.exports.gated(heap.address(x), rows, width / 2, ACTIVATION_KINDS[activation], heap.address(out));
  return out as unknown as TensorInfo;
};

export const rmsNorm: KernelFunc = ({inputs, backend, attrs}) => {
  const {epsilon} = attrs as unknown as RmsNormAttrs;
  const heap = heapOf(backend);
  const x = inputs.x as TensorInfo;
  const [rows, width] = x.shape as [number, number];
  const out = (backend as unknown as WasmBackend).makeOutput([rows, width], 'float32');
  heap.exports.rmsNorm(heap.address(x), heap.address(inputs.weight as TensorInfo), rows, width, epsilon, heap.address(out));
  return out as unknown as TensorInfo;
};
