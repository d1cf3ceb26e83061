/** Attend on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {AttendAttrs} from '../attention.js';
import {heapOf, type WasmBackend} from './module.js';
import {scoreBytes} from './parallel.js';

export const attend: KernelFunc = ({inputs, backend, attrs}) => {
  const {length} = attrs as unknown as AttendAttrs;
  const heap = heapOf(backend);
  const qkv = inputs.qkv as TensorInfo;
  const [count, width] = qkv.shape as [number, number];
  const [keyHeads, capacity, dim] = (inputs.keys as TensorInfo).shape as [number, number, number];
  const heads = width / dim - 2 * keyHeads;
  const [from, keys, values, cos, sin] = ['qkv', 'keys', 'values', 'cos', 'sin'].map((name) =>
    heap.address(inputs[name] as TensorInfo),
  ) as [number, number, number, number, number];
  const out = (backend as unknown as WasmBackend).makeOutput([count, heads * dim], 'float32');
  const q = heap.scratch(4 * count * heads * dim + scoreBytes(length + count));
  const scores = q + 4 * count * heads * dim;
  heap.exports.appendHeads(from, count, heads, keyHeads, dim, cos, sin, length, keys, values, capacity, q);
  const rows = heads * count;
  heap.exports.attend(q, 0, rows, count, heads, heads / keyHeads, dim, length, keys, values, capacity, scores, heap.address(out));
  return out as unknown as TensorInfo;
};
