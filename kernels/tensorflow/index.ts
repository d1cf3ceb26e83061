/** Backend 'tensorflow' (tfjs-node, tfjs-node-gpu): our add-on's kernels where it is loaded and no GPU is used, else stock TensorFlow ops. */
import {env, type KernelFunc, registerKernel, type TensorInfo} from '@tensorflow/tfjs';
import {QUANTIZED_MATMUL, type QuantizedMatMulAttrs, UNPACK_WEIGHT, type UnpackWeightAttrs} from '../attributes.js';
import {rowOutside} from '../rows.js';
import type {NodeBackend} from './backend.js';
import {chooseNative} from './choose.js';
import {composedMatMul, composedUnpack} from './composed/index.js';
import {type Native, nativeMatMul, nativeUnpack} from './native.js';

/**
 * What answers, for tests and comparisons: 'auto', 'composed' (stock ops), 'composed_device' (stock ops, words held as a GPU's are), an
 * instruction set of the add-on, or one with '_rows' or '_panels' after it.
 */
export const TENSORFLOW_VARIANT_FLAG = 'TFJS_LINEAR_TENSORFLOW_VARIANT';

let native: Native | null = null;

/** Every variant of this process. */
export function tensorflowVariants(): string[] {
  const sets = native?.instructionSets ?? [];
  return ['composed', 'composed_device', ...sets.flatMap((name) => [`${name}_rows`, `${name}_panels`])];
}

interface Way {
  /** Place of the instruction set, or null for stock ops. */
  readonly instructions: number | null;
  readonly forced: 'rows' | 'panels' | null;
  readonly onDevice: boolean;
}

function wayFor(backend: NodeBackend): Way {
  const flag = env().get(TENSORFLOW_VARIANT_FLAG) as unknown as string;
  const onDevice = backend.isUsingGpuDevice || flag === 'composed_device';
  if (native === null || backend.isUsingGpuDevice || flag.startsWith('composed')) return {instructions: null, forced: null, onDevice};
  const [name, shape] = flag.split('_');
  const place = native.instructionSets.indexOf(name as string);
  return {instructions: Math.max(0, place), forced: shape === 'rows' || shape === 'panels' ? shape : null, onDevice};
}

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

/** Registers both kernels. `loaded`: the add-on, where there is one. */
export function registerTensorflowKernels(loaded: Native | null = null, backendName = 'tensorflow'): void {
  native = loaded;
  env().registerFlag(TENSORFLOW_VARIANT_FLAG, () => 'auto' as unknown as boolean);
  registerKernel({kernelName: QUANTIZED_MATMUL, backendName, kernelFunc: quantizedMatMul});
  registerKernel({kernelName: UNPACK_WEIGHT, backendName, kernelFunc: unpackWeight});
}
