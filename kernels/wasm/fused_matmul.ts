/** FusedQuantizedMatMul on wasm. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {FusedMatMulAttrs} from '../fused_matmul.js';
import {ACTIVATION_KINDS, multiplyAt} from './matmul.js';
import {heapOf, type WasmBackend} from './module.js';

export const fusedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  const {layout, rowStart, rowEnd, epsilon, gate} = attrs as unknown as FusedMatMulAttrs;
  const heap = heapOf(backend);
  const {exports} = heap;
  const given = inputs.x as TensorInfo;
  const rows = given.shape[0] as number;
  const [k, n] = [layout.inDim, rowEnd - rowStart];
  const width = gate === null ? n : n / 2;
  const out = (backend as unknown as WasmBackend).makeOutput([rows, width], 'float32');
  const to = heap.address(out);
  const normBytes = inputs.norm === undefined ? 0 : 4 * rows * k;
  const spare = normBytes === 0 && gate === null ? 0 : heap.spare(normBytes + (gate === null ? 0 : 4 * rows * n));
  let x = heap.address(given);
  if (inputs.norm !== undefined) {
    exports.rmsNorm(x, heap.address(inputs.norm as TensorInfo), rows, k, epsilon, spare);
    x = spare;
  }
  const y = gate === null ? to : spare + normBytes;
  multiplyAt({heap, x, y, rows}, null, inputs, attrs as unknown as FusedMatMulAttrs);
  if (gate !== null) exports.gated(y, rows, width, ACTIVATION_KINDS[gate], to);
  if (inputs.residual !== undefined) exports.addTo(to, heap.address(inputs.residual as TensorInfo), rows * width);
  return out as unknown as TensorInfo;
};
