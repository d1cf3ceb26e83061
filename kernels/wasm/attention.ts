/** AttendPast on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {heapOf, type WasmBackend} from './module.js';

export const attendPast: KernelFunc = ({inputs, backend}) => {
  const heap = heapOf(backend);
  const q = inputs.q as TensorInfo;
  const [heads, rows, dim] = q.shape as [number, number, number];
  const tailK = inputs.tailK as TensorInfo | undefined;
  const tailCount = (tailK?.shape[1] as number | undefined) ?? 0;
  const v0 = inputs.v0 as TensorInfo | undefined;
  const count = (v0?.shape[0] as number | undefined) ?? 0;
  const out = (backend as unknown as WasmBackend).makeOutput([heads, rows, dim], 'float32');
  const scores = heap.scratch(4 * (count + tailCount) + 16);
  const [from, to] = [heap.address(q), heap.address(out)];
  const tail = tailK === undefined ? [0, 0] : [heap.address(tailK), heap.address(inputs.tailV as TensorInfo)];
  for (let head = 0; head < heads; head++) {
    const [k, v] = v0 === undefined ? [0, 0] : [`k${head}`, `v${head}`].map((name) => heap.address(inputs[name] as TensorInfo));
    const step = 4 * head * rows * dim;
    const [tk, tv] = tail.map((address) => address + 4 * head * tailCount * dim);
    heap.exports.attend(from + step, rows, dim, k as number, v as number, count, tk as number, tv as number, tailCount, scores, to + step);
  }
  return out as unknown as TensorInfo;
};
