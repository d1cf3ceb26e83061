/** Tensors of a state dict in a file's own layout, as tf.js holds them (int32 and float32), through the format that reads that layout. */
import type * as tf from '@tensorflow/tfjs';
import {encodeFloat} from '../../kernels/float_codes.js';
import {encodingInfo, type QuantizationEncoding} from '../config/encoding.js';
import type {QuantizationConfig} from '../config/quantization.js';
import {ArgumentError, ShapeError, UnsupportedError} from '../errors.js';
import {floatsOf} from './dense.js';
import type {FileTensor, Lowered, Module} from './format.js';
import {gguf} from './gguf.js';
import {gptq} from './gptq.js';
import type {CheckpointFormat} from './gptq_header.js';
import {fileTensor} from './tensors.js';

/** Blocks of a ggml encoding: `weight` int32 [N, bytes of a row], a byte an element. Throws ShapeError, ArgumentError. */
export function lowerBlockState(weight: tf.Tensor, encoding: QuantizationEncoding, outDim: number, inDim: number, where: string): Lowered {
  const {elementsPerBlock, bytesPerBlock} = encodingInfo(encoding);
  const rowBytes = (inDim / (elementsPerBlock as number)) * (bytesPerBlock as number);
  if (weight.rank !== 2 || weight.shape[0] !== outDim || weight.shape[1] !== rowBytes) {
    throw new ShapeError({
      where,
      expected: `[${outDim}, ${rowBytes}]: the bytes of each row's ${encoding} blocks`,
      received: `[${weight.shape}]`,
    });
  }
  const values = weight.dataSync();
  const bad = values.findIndex((v) => !Number.isInteger(v) || v < 0 || v > 255);
  if (bad !== -1) {
    const at = `${Math.floor(bad / rowBytes)}, ${bad % rowBytes}`;
    throw new ArgumentError({where: `${where}[${at}]`, expected: 'a byte, 0 to 255', received: values[bad]});
  }
  return lowerBlocks(Uint8Array.from(values), encoding, outDim, inDim, where);
}

/** The same from the bytes, row after row. Throws ShapeError where K is not whole blocks, FileFormatError for another number of bytes. */
export function lowerBlocks(data: Uint8Array, encoding: QuantizationEncoding, outDim: number, inDim: number, where: string): Lowered {
  const tensors = new Map<string, FileTensor>([['weight', {dtype: encoding, shape: [outDim, inDim], data}]]);
  return gguf.lower({module: where, container: 'gguf', tensors, quantization: null});
}

/** What GPTQ's tensors are called; bias is the layer's own. */
const GPTQ_NAMES = ['qweight', 'qzeros', 'scales', 'g_idx', 'perm_idx'];

export interface GptqState {
  readonly lowered: Lowered;
  /** The config that a file of these tensors would have. */
  readonly quantization: Readonly<Record<string, unknown>>;
}

/**
 * GPTQ's tensors by local name: qweight int32 [K * bits / 32, N], scales float32 [groups, N], qzeros int32 (may be left out where sym), and g_idx
 * [K] or MAX's perm_idx [K] (the stable order of g_idx). Names it does not know are refused where `strict`.
 * Throws as the gptq format does, and ShapeError where N or K is not the layer's.
 */
export function lowerGptqState(
  dict: ReadonlyMap<string, tf.Tensor>,
  config: QuantizationConfig,
  checkpointFormat: CheckpointFormat,
  [outDim, inDim]: readonly [number, number],
  where: string,
  strict: boolean,
): GptqState {
  const tensors = new Map<string, FileTensor>();
  for (const [name, tensor] of dict) {
    if (name === 'perm_idx') tensors.set('g_idx', groupsOf(tensor, config, inDim, `${where}: ${name}`));
    else if (strict || GPTQ_NAMES.includes(name)) tensors.set(name, stored(tensor));
  }
  if (dict.has('perm_idx') && dict.has('g_idx')) {
    throw new UnsupportedError({where, expected: 'g_idx or perm_idx', received: 'both'});
  }
  const quantization = {
    quant_method: 'gptq',
    bits: config.bits,
    group_size: config.groupSize,
    desc_act: config.descAct,
    sym: config.sym,
    checkpoint_format: checkpointFormat,
  };
  const module: Module = {module: where, container: 'safetensors', tensors, quantization};
  gptq.validate(module);
  const lowered = gptq.lower(module);
  const {layout} = lowered;
  if (layout.outDim !== outDim || layout.inDim !== inDim) {
    throw new ShapeError({
      where,
      expected: `tensors of a [${outDim}, ${inDim}] weight`,
      received: `of a [${layout.outDim}, ${layout.inDim}] one`,
    });
  }
  return {lowered, quantization};
}

/** float32 as F16 where nothing is lost: scales come from F16 files as a rule, and are held at the file's width. */
function stored(tensor: tf.Tensor): FileTensor {
  if (tensor.dtype === 'int32') return fileTensor('I32', tensor.shape, Int32Array.from(tensor.dataSync()));
  const values = Float32Array.from(tensor.dataSync());
  const half = fileTensor(
    'F16',
    tensor.shape,
    Uint16Array.from(values, (v) => encodeFloat('float16', v)),
  );
  return floatsOf(half).every((v, i) => Object.is(v, values[i])) ? half : fileTensor('F32', tensor.shape, values);
}

/** The group of each input, from the order of inputs by group. */
function groupsOf(order: tf.Tensor, {groupSize}: QuantizationConfig, inDim: number, where: string): FileTensor {
  if (order.rank !== 1 || order.shape[0] !== inDim) throw new ShapeError({where, expected: `[${inDim}]`, received: `[${order.shape}]`});
  const columns = new Int32Array(inDim).fill(-1);
  const values = order.dataSync();
  values.forEach((column, j) => {
    if (columns[column] !== -1) {
      throw new ArgumentError({where: `${where}[${j}]`, expected: `a permutation of 0 to ${inDim - 1}`, received: column});
    }
    columns[column] = groupSize === -1 ? 0 : Math.floor(j / groupSize);
  });
  return fileTensor('I32', [inDim], columns);
}

/** [N, K] of GPTQ's tensors by local name, from the shape of the packed codes; null where there are none. */
export function gptqShape(dict: ReadonlyMap<string, tf.Tensor>, bits: number): [number, number] | null {
  const codes = dict.get('qweight');
  if (codes === undefined) return null;
  const [words = 0, outDim = 0] = codes.shape;
  return [outDim, (words * 32) / bits];
}
