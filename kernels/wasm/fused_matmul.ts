/** FusedQuantizedMatMul on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {FusedMatMulAttrs} from '../fused_matmul.js';
import {ACTIVATION_KINDS, multiplyAt} from './matmul.js';
import {heapOf, type WasmBackend, type WasmHeap} from './module.js';

/** Addresses of a call: x [rows, K], y, fusedBytes of memory between, the norm's weight and what is added; 0: none. */
interface FusedCall {
  readonly heap: WasmHeap;
  readonly x: number;
  readonly rows: number;
  readonly y: number;
  readonly spare: number;
  readonly norm: number;
  readonly residual: number;
}

export const fusedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  const product = attrs as unknown as FusedMatMulAttrs;
  const heap = heapOf(backend);
  const x = inputs.x as TensorInfo;
  const rows = x.shape[0] as number;
  const n = product.rowEnd - product.rowStart;
  const out = (backend as unknown as WasmBackend).makeOutput([rows, product.gate === null ? n : n / 2], 'float32');
  const bytes = fusedBytes(rows, product, inputs.norm !== undefined);
  const at = (t: {dataId: object} | undefined): number => (t === undefined ? 0 : heap.address(t));
  const spare = bytes === 0 ? 0 : heap.spare(bytes);
  fusedAt({heap, x: at(x), rows, y: at(out), spare, norm: at(inputs.norm), residual: at(inputs.residual)}, inputs, product);
  return out as unknown as TensorInfo;
};

/** Memory that `fusedAt` needs: x normalised, and y before its gate. */
export function fusedBytes(rows: number, {layout, rowStart, rowEnd, gate}: FusedMatMulAttrs, hasNorm: boolean): number {
  return 4 * rows * ((hasNorm ? layout.inDim : 0) + (gate === null ? 0 : rowEnd - rowStart));
}

/** residual + gate(act(norm(x) . W^T + bias)) at addresses. */
export function fusedAt(call: FusedCall, inputs: Parameters<KernelFunc>[0]['inputs'], product: FusedMatMulAttrs): void {
  const {heap, rows, y, spare, norm, residual} = call;
  const {exports} = heap;
  const {layout, rowStart, rowEnd, epsilon, gate} = product;
  const [k, n] = [layout.inDim, rowEnd - rowStart];
  const width = gate === null ? n : n / 2;
  const x = norm === 0 ? call.x : spare;
  if (norm !== 0) exports.rmsNorm(call.x, norm, rows, k, epsilon, x);
  const to = gate === null ? y : spare + (norm === 0 ? 0 : 4 * rows * k);
  multiplyAt({heap, x, y: to, rows}, null, inputs, product);
  if (gate !== null) exports.gated(to, rows, width, ACTIVATION_KINDS[gate], y);
  if (residual !== 0) exports.addTo(y, residual, rows * width);
}
