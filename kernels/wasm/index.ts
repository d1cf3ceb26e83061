/** Backend 'wasm': kernels in AssemblyScript on tf.js's own heap. */
import {env, type KernelFunc, registerKernel, type TensorInfo} from '@tensorflow/tfjs';
import {ATTEND} from '../attention.js';
import {FP8_QUANTIZE, FP8_SCALED_MATMUL, QUANTIZED_MATMUL, UNPACK_WEIGHT, type UnpackWeightAttrs} from '../attributes.js';
import {CHAIN} from '../chain.js';
import {GATED_ACTIVATION, RMS_NORM} from '../fused.js';
import {FUSED_MATMUL} from '../fused_matmul.js';
import {rowOutside} from '../rows.js';
import {attend} from './attention.js';
import {chain} from './chain.js';
import {descriptorOf} from './descriptor.js';
import {gatedActivation, rmsNorm} from './fused.js';
import {fusedMatMul} from './fused_matmul.js';
import {quantizedMatMul, WASM_VARIANT_FLAG} from './matmul.js';
import {heapOf, type WasmBackend} from './module.js';
import {fp8Quantize} from './quantize.js';
import {fp8ScaledMatMul} from './scaled_matmul.js';

export const unpackWeight: KernelFunc = ({inputs, backend, attrs}) => {
  const {layout, rowStart, rowEnd} = attrs as unknown as UnpackWeightAttrs;
  const heap = heapOf(backend);
  const chosen = inputs.rows as TensorInfo | undefined;
  const count = chosen === undefined ? rowEnd - rowStart : (chosen.shape[0] as number);
  const out = (backend as unknown as WasmBackend).makeOutput([count, layout.inDim], 'float32');
  const fields = descriptorOf(heap, layout);
  const bytes = (layout.inDim + 31) & ~31;
  const base = heap.scratch(fields.length * 4 + 16 + bytes + layout.inDim * 4);
  const work = base + fields.length * 4 + 16;
  heap.write(base, fields);
  const rows = chosen === undefined ? 0 : heap.address(chosen);
  const words = heap.address(inputs.words as TensorInfo);
  const bad = heap.exports.unpackRows(words, base, rows, rowStart, rowEnd, count, heap.address(out), work, work + bytes);
  if (bad >= 0) {
    (backend as unknown as WasmBackend).disposeData(out.dataId);
    throw rowOutside(bad, rowEnd - rowStart);
  }
  return out as unknown as TensorInfo;
};

/** Registers both kernels for a backend of this kind. */
export function registerWasmKernels(backendName = 'wasm'): void {
  env().registerFlag(WASM_VARIANT_FLAG, () => 'auto' as unknown as boolean);
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
  registerKernel({kernelName: GATED_ACTIVATION, backendName, kernelFunc: gatedActivation});
  registerKernel({kernelName: FUSED_MATMUL, backendName, kernelFunc: fusedMatMul});
  registerKernel({kernelName: ATTEND, backendName, kernelFunc: attend});
  registerKernel({kernelName: CHAIN, backendName, kernelFunc: chain});
  registerKernel({kernelName: RMS_NORM, backendName, kernelFunc: rmsNorm});
  registerKernel({kernelName: FP8_QUANTIZE, backendName, kernelFunc: fp8Quantize});
  registerKernel({kernelName: FP8_SCALED_MATMUL, backendName, kernelFunc: fp8ScaledMatMul});
}
