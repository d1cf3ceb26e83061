/** Attend on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {AttendAttrs, AttendInputs} from '../attention.js';
import {heapOf, type WasmBackend, type WasmHeap} from './module.js';
import {scoreBytes} from './parallel.js';

export const attend: KernelFunc = ({inputs, backend, attrs}) => {
  const heap = heapOf(backend);
  const {qkv, keys, values, cos, sin} = inputs as Record<'qkv' | 'keys' | 'values' | 'cos' | 'sin', TensorInfo>;
  const [count, all] = qkv.shape as [number, number];
  const [keyHeads, , dim] = keys.shape as [number, number, number];
  const width = all - 2 * keyHeads * dim;
  const out = (backend as unknown as WasmBackend).makeOutput([count, width], 'float32');
  const {length} = attrs as unknown as AttendAttrs;
  attendAt(heap, heap.address(qkv), count, {keys, values, cos, sin, length, width}, heap.address(out));
  return out as unknown as TensorInfo;
};

/** Rows of qkv at an address, results at another. */
export function attendAt(
  heap: WasmHeap,
  qkv: number,
  count: number,
  {keys, values, cos, sin, length, width}: AttendInputs,
  out: number,
): void {
  const [keyHeads, capacity, dim] = keys.shape as [number, number, number];
  const heads = width / dim;
  const [k, v, c, s] = [heap.address(keys), heap.address(values), heap.address(cos), heap.address(sin)];
  const q = heap.scratch(4 * count * width + scoreBytes(length + count));
  const scores = q + 4 * count * width;
  heap.exports.appendHeads(qkv, count, heads, keyHeads, dim, c, s, length, k, v, capacity, q);
  heap.exports.attend(q, 0, heads * count, count, heads, heads / keyHeads, dim, length, k, v, capacity, scores, out);
}
