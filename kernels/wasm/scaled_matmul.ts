/** Fp8ScaledMatMul on wasm: 8-bit integers of x are multiplied as they are; 8-bit floats as the float32 that they stand for. */
import type {KernelFunc, NamedAttrMap, TensorInfo} from '@tensorflow/tfjs';
import {type ScaledMatMulAttrs, scaledMatMul} from '../fp8_matmul.js';
import {chooseWasm} from './choose.js';
import {type Codes, forcedVariant, multiply, quantizedMatMul} from './matmul.js';
import {heapOf, type WasmBackend} from './module.js';
import {fp8Quantize} from './quantize.js';

const asFloats = scaledMatMul(fp8Quantize, quantizedMatMul);

/** How scales of x lie in [M, K], `perRow` for each run of `columns`; null: not as the integer kernels need them. */
function placesOf({quantize, layout}: ScaledMatMulAttrs): {columns: number; perRow: number} | null {
  const k = layout.inDim;
  switch (quantize.granularity) {
    case 'tensor':
      return {columns: k, perRow: 0};
    case 'colwise':
      return {columns: k, perRow: 1};
    case 'block':
      return layout.ordered ? null : {columns: quantize.block, perRow: Math.ceil(k / quantize.block)};
    case 'rowwise':
      return null;
  }
}

export const fp8ScaledMatMul: KernelFunc = (call) => {
  const {inputs, backend} = call;
  const given = call.attrs as unknown as ScaledMatMulAttrs;
  const {quantize, bfloat16Output, ...attrs} = given;
  const places = quantize.dtype === 'int8' && !bfloat16Output ? placesOf(given) : null;
  if (places === null) return asFloats(call);
  const x = inputs.x as TensorInfo;
  const {dots} = heapOf(backend);
  const {variant, block} = chooseWasm(attrs.layout, x.shape[0] as number, attrs.inputPrecision, forcedVariant(), dots, places.columns);
  // A block of the kernel has one scale of x.
  if (!variant.endsWith('int16') || places.columns % block !== 0) return asFloats(call);
  const parts: Record<string, TensorInfo> = inputs.scale === undefined ? {x} : {x, scale: inputs.scale as TensorInfo};
  const toCodes = {...quantize, values: false} as unknown as NamedAttrMap;
  const [codes, scales] = fp8Quantize({inputs: parts, backend, attrs: toCodes}) as [TensorInfo, TensorInfo];
  const ready: Codes = {codes, scales, ...places};
  const y = multiply(codes, ready, {inputs, backend, attrs: attrs as unknown as NamedAttrMap});
  for (const t of [codes, scales]) (backend as unknown as WasmBackend).disposeData(t.dataId);
  return y;
};
