/** Backend 'tensorflow' (tfjs-node, tfjs-node-gpu): our add-on's kernels where it is loaded and no GPU is used, else stock TensorFlow ops. */
import {type KernelFunc, type NamedAttrMap, registerKernel, type TensorInfo} from '@tensorflow/tfjs';
import {
  FP8_QUANTIZE,
  FP8_SCALED_MATMUL,
  QUANTIZED_MATMUL,
  type QuantizedMatMulAttrs,
  UNPACK_WEIGHT,
  type UnpackWeightAttrs,
} from '../attributes.js';
import type {ScaledMatMulAttrs} from '../fp8_matmul.js';
import {GATED_ACTIVATION, RMS_NORM} from '../fused.js';
import type {QuantizeAttrs} from '../input_quantization.js';
import {rowOutside} from '../rows.js';
import type {NodeBackend} from './backend.js';
import {chooseNative} from './choose.js';
import {composedMatMul, composedQuantize, composedUnpack, roundToBfloat16} from './composed/index.js';
import {gatedActivation, rmsNorm} from './fused.js';
import {type Native, nativeMatMul, nativeQuantize, nativeUnpack} from './native.js';
import {useAddOn, wayFor} from './way.js';

export const quantizedMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  const node = backend as unknown as NodeBackend;
  const matMulAttrs = attrs as unknown as QuantizedMatMulAttrs;
  const {x, words, bias} = inputs as {x: TensorInfo; words: TensorInfo; bias?: TensorInfo};
  const operands = bias === undefined ? {x, words} : {x, words, bias};
  const {instructions, forced, onDevice} = wayFor(node);
  if (instructions === null) return composedMatMul(node, operands, matMulAttrs, onDevice);
  const choice = chooseNative(matMulAttrs.layout, x.shape[0] as number, matMulAttrs.inputPrecision, forced);
  return nativeMatMul(node, operands, matMulAttrs, choice, instructions);
};

export const unpackWeight: KernelFunc = ({inputs, backend, attrs}) => {
  const node = backend as unknown as NodeBackend;
  const unpackAttrs = attrs as unknown as UnpackWeightAttrs;
  const {words, rows} = inputs as {words: TensorInfo; rows?: TensorInfo};
  const chosen = rows === undefined ? null : Array.from(node.readSync(rows.dataId));
  const count = unpackAttrs.rowEnd - unpackAttrs.rowStart;
  const bad = chosen === null ? -1 : chosen.findIndex((n) => n < 0 || n >= count);
  if (bad >= 0) throw rowOutside(bad, count);
  const {instructions, onDevice} = wayFor(node);
  if (instructions === null) return composedUnpack(node, words, chosen, unpackAttrs, onDevice);
  return nativeUnpack(node, words, rows, unpackAttrs, instructions);
};

export const fp8Quantize: KernelFunc = ({inputs, backend, attrs}) => {
  const node = backend as unknown as NodeBackend;
  const quantize = attrs as unknown as QuantizeAttrs;
  const {x, scale} = inputs as {x: TensorInfo; scale?: TensorInfo};
  const {instructions} = wayFor(node);
  if (instructions !== null) return nativeQuantize(node, x, scale, quantize, instructions);
  return (['out', 'scales'] as const).map((want) => composedQuantize(node, x, scale, quantize, want));
};

/** x rounded, times the packed weight, rounded to bfloat16 where asked. */
export const fp8ScaledMatMul: KernelFunc = ({inputs, backend, attrs}) => {
  const node = backend as unknown as NodeBackend;
  const {quantize, bfloat16Output, ...matMulAttrs} = attrs as unknown as ScaledMatMulAttrs;
  const {x, scale, ...rest} = inputs as {x: TensorInfo; scale?: TensorInfo; words: TensorInfo; bias?: TensorInfo};
  const rounded = roundedInput(node, x, scale, {...quantize, values: true});
  const y = quantizedMatMul({inputs: {...rest, x: rounded}, backend, attrs: matMulAttrs as unknown as NamedAttrMap}) as TensorInfo;
  node.disposeData(rounded.dataId);
  if (!bfloat16Output) return y;
  const out = roundToBfloat16(node, y);
  node.disposeData(y.dataId);
  return out;
};

function roundedInput(node: NodeBackend, x: TensorInfo, scale: TensorInfo | undefined, attrs: QuantizeAttrs): TensorInfo {
  const {instructions} = wayFor(node);
  if (instructions === null) return composedQuantize(node, x, scale, attrs, 'out');
  const [out, scales] = nativeQuantize(node, x, scale, attrs, instructions) as [TensorInfo, TensorInfo];
  node.disposeData(scales.dataId);
  return out;
}

export {chosenVariant, TENSORFLOW_VARIANT_FLAG, tensorflowVariants} from './way.js';

/** Registers the kernels. `loaded`: the add-on, where there is one. */
export function registerTensorflowKernels(loaded: Native | null = null, backendName = 'tensorflow'): void {
  useAddOn(loaded);
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
  registerKernel({kernelName: FP8_QUANTIZE, backendName, kernelFunc: fp8Quantize});
  registerKernel({kernelName: FP8_SCALED_MATMUL, backendName, kernelFunc: fp8ScaledMatMul});
  registerKernel({kernelName: GATED_ACTIVATION, backendName, kernelFunc: gatedActivation});
  registerKernel({kernelName: RMS_NORM, backendName, kernelFunc: rmsNorm});
}
