/** GPTQ's tensors, as tf.js tensors in the file's own layout, to float32. */
import * as tf from '@tensorflow/tfjs';
import {UNPACK_WEIGHT} from '../../kernels/attributes.js';
import {checkOptions} from '../arguments.js';
import {ArgumentError, DeviceError} from '../errors.js';
import type {FileTensor, Module} from './format.js';
import {gptq} from './gptq.js';
import type {CheckpointFormat} from './gptq_header.js';
import {fileTensor} from './tensors.js';

export const GPTQ_UNPACK = 'GptqUnpack';

export interface GptqTensors {
  /** int32 [K * bits / 32, N] */
  qweight: tf.Tensor;
  /** float32 [groups, N]; f16 and bf16 scales widened, which is exact. */
  scales: tf.Tensor;
  /** int32 [groups, N * bits / 32]; may be left out where sym. */
  qzeros?: tf.Tensor | null;
  /** int32 [K]: the group of each input. */
  gIdx?: tf.Tensor | null;
}

export interface GptqUnpackOptions {
  /** Bits of a code, 2 to 8. Throws UnsupportedError for a width that GPTQ does not have. */
  bits: number;
  /** -1: one group over all inputs. */
  groupSize: number;
  /** Zero points are the middle: `qzeros` is not needed. */
  sym: boolean;
  /** Default 'gptq' (stored zero points are one less). */
  checkpointFormat?: CheckpointFormat;
}

const OPTIONS = ['bits', 'groupSize', 'sym', 'checkpointFormat'];

/** Local names in the file, by argument. */
const NAMES = {qweight: 'qweight', scales: 'scales', qzeros: 'qzeros', gIdx: 'g_idx'} as const;
type Argument = keyof typeof NAMES;

/**
 * The weight as float32 [N, K], bit-equal to the tools' own decoders; the caller disposes it.
 * Reads its inputs on the host: on 'webgpu' that works only for tensors that were made from host values and not yet used there; use
 * gptqUnpackAsync for the rest. On 'webgl' int32 words that have been through a texture have lost bits above 2^24: pass tensors made from
 * host values. To keep a weight packed, load it with openCheckpoint.
 * Throws ArgumentError for an unknown option, ShapeError and UnsupportedError as the gptq format does, DeviceError where inputs cannot be read.
 *
 * ```js
 * const tensors = {qweight: tf.zeros([8, 1], 'int32'), scales: tf.ones([1, 1])};
 * const weight = tfl.ops.gptqUnpack(tensors, {bits: 4, groupSize: -1, sym: true});
 * weight.shape; // [1, 64]
 * ```
 */
export function gptqUnpack(tensors: GptqTensors, options: GptqUnpackOptions): tf.Tensor2D {
  return tf.engine().runKernel(GPTQ_UNPACK, inputsOf(tensors, options), {...options}) as tf.Tensor2D;
}

/**
 * As gptqUnpack, for tensors whose values only come asynchronously.
 *
 * ```js
 * const tensors = {qweight: tf.zeros([8, 1], 'int32'), scales: tf.ones([1, 1])};
 * const weight = await tfl.ops.gptqUnpackAsync(tensors, {bits: 4, groupSize: -1, sym: true});
 * weight.shape; // [1, 64]
 * ```
 */
export async function gptqUnpackAsync(tensors: GptqTensors, options: GptqUnpackOptions): Promise<tf.Tensor2D> {
  const entries = Object.entries(inputsOf(tensors, options)) as [Argument, tf.Tensor][];
  const values = await Promise.all(entries.map(async ([name, t]) => [name, t.shape, await t.data()] as const));
  return unpack(new Map(values.map(([name, shape, data]) => [NAMES[name], stored(name, shape, data)])), options);
}

/** Registers the kernel for a backend, once: it lowers on the host and runs that backend's UnpackWeight. */
export function registerGptqUnpack(backendName: string): void {
  if (tf.getKernel(GPTQ_UNPACK, backendName)) return;
  tf.registerKernel({
    kernelName: GPTQ_UNPACK,
    backendName,
    kernelFunc: ({inputs, backend, attrs}) => {
      const tensors = new Map<string, FileTensor>();
      for (const [name, info] of Object.entries(inputs) as [Argument, tf.TensorInfo][]) {
        tensors.set(NAMES[name], stored(name, info.shape, read(name, info, backend as tf.KernelBackend, backendName)));
      }
      return unpack(tensors, attrs as unknown as GptqUnpackOptions);
    },
  });
}

function inputsOf(tensors: GptqTensors, options: GptqUnpackOptions): tf.NamedTensorMap {
  checkOptions('gptqUnpack', options, OPTIONS);
  checkOptions('gptqUnpack', tensors, Object.keys(NAMES));
  const inputs: tf.NamedTensorMap = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    if (tensor === null || tensor === undefined) continue;
    const dtype = name === 'scales' ? 'float32' : 'int32';
    if (tensor.dtype !== dtype) {
      throw new ArgumentError({where: `gptqUnpack: ${name}`, expected: `a tensor of ${dtype}`, received: tensor.dtype});
    }
    inputs[name] = tensor as tf.Tensor;
  }
  return inputs;
}

function read(name: string, info: tf.TensorInfo, backend: tf.KernelBackend, backendName: string): ArrayLike<number> {
  try {
    return backend.readSync(info.dataId) as tf.TypedArray;
  } catch (cause) {
    throw new DeviceError(
      {
        where: `gptqUnpack: ${name}`,
        expected: 'values that can be read at once',
        received: `a tensor on '${backendName}'`,
        why: (cause as Error).message,
        remedy: 'Use gptqUnpackAsync.',
      },
      {cause},
    );
  }
}

function stored(name: Argument, shape: readonly number[], values: ArrayLike<number>): FileTensor {
  const array = name === 'scales' ? Float32Array.from(values) : Int32Array.from(values);
  return fileTensor(name === 'scales' ? 'F32' : 'I32', shape, array);
}

function unpack(tensors: ReadonlyMap<string, FileTensor>, options: GptqUnpackOptions): tf.Tensor2D {
  const {bits, groupSize, sym, checkpointFormat = 'gptq'} = options;
  const quantization = {quant_method: 'gptq', bits, group_size: groupSize, sym, checkpoint_format: checkpointFormat};
  const module: Module = {module: 'gptqUnpack', container: 'safetensors', tensors, quantization};
  gptq.validate(module);
  const {layout, words} = gptq.lower(module);
  const packed = tf.tensor1d(words, 'int32');
  try {
    const attrs = {layout, rowStart: 0, rowEnd: layout.outDim};
    return tf.engine().runKernel(UNPACK_WEIGHT, {words: packed}, attrs as unknown as tf.NamedAttrMap);
  } finally {
    packed.dispose();
  }
}
