/**
 * Unquantised weights: `weight` [N, K] in F32, F16 or BF16 with an optional `bias` [N], from safetensors and GGUF alike
 * (both spell the three dtypes so). Codes are the floats' own bits; nothing is scaled.
 */
import {decodeTable} from '../../kernels/float_codes.js';
import {type FloatType, floatLayout} from '../../kernels/layout.js';
import {HOST} from '../../kernels/record_words.js';
import {partsOf} from '../../kernels/words.js';
import {stringsOf} from '../config/keys.js';
import {notConverted} from '../config/module_settings.js';
import {FileFormatError, ShapeError, UnsupportedError} from '../errors.js';
import {copyByteRows} from './byte_rows.js';
import {type FileTensor, type Format, lowerWhole, type ModuleHeader, need, refuseOthers, type TensorHeader} from './format.js';
import {CACHE_SCALES, cacheScalesOf, raiseCacheScales} from './input_scheme.js';
import {bytesOf} from './tensors.js';

const TYPES: Readonly<Record<string, FloatType>> = {F32: 'float32', F16: 'float16', BF16: 'bfloat16'};

/** [N, K] of a weight. Throws ShapeError unless it has two dimensions, neither of them 0. */
export function matrixShape(tensor: TensorHeader, where: string): readonly [number, number] {
  const [outDim, inDim] = tensor.shape;
  if (tensor.shape.length === 2 && outDim !== undefined && inDim !== undefined && outDim > 0 && inDim > 0) return [outDim, inDim];
  throw new ShapeError({
    where,
    expected: 'a weight [outDim, inDim]',
    received: `[${tensor.shape}]`,
    why: 'A linear layer multiplies by one matrix; stacked experts, convolutions and vectors are something else.',
  });
}

/** Throws unless `bias` is absent or [outDim] in F32, F16 or BF16. */
export function checkBias(module: ModuleHeader, outDim: number): void {
  const bias = module.tensors.get('bias');
  if (bias === undefined) return;
  const where = `${module.module}.bias`;
  if (TYPES[bias.dtype] === undefined) {
    throw new UnsupportedError({where, expected: 'dtype F32, F16 or BF16', received: bias.dtype});
  }
  if (bias.shape.length !== 1 || bias.shape[0] !== outDim) {
    throw new ShapeError({where, expected: `[${outDim}], one a row of the weight`, received: `[${bias.shape}]`});
  }
}

/** Throws UnsupportedError where the model rounds these floats to -1, 0 and 1 when it runs (BitNet with quantization_mode 'online'): they are not its weight. */
function refuseRounded({module, quantization}: ModuleHeader): void {
  if (quantization?.quant_method !== 'bitnet' || /(^|\.)(lm_head|embed_tokens)$/.test(module)) return;
  const kept = stringsOf('quantization_config', quantization, 'modules_to_not_convert');
  if (notConverted(kept, module) !== null) return;
  throw new UnsupportedError({
    where: `${module}.weight`,
    expected: 'a weight that is used as it is stored',
    received: "floats under quant_method 'bitnet', which the model rounds to -1, 0 and 1 as it runs, and x to 8 bits",
    remedy: 'Use the GGUF of the model, in TQ1_0 or TQ2_0.',
  });
}

/** Throws FileFormatError unless the tensor holds exactly `bytes` bytes. */
export function checkBytes(tensor: FileTensor, bytes: number, where: string): void {
  if (tensor.data.byteLength === bytes) return;
  throw new FileFormatError({
    where,
    expected: `${bytes} bytes for ${tensor.dtype} [${tensor.shape}]`,
    received: `${tensor.data.byteLength} bytes`,
  });
}

/** The number of each stored float of an F32, F16 or BF16 tensor. */
export function floatsOf(tensor: FileTensor): Float32Array {
  const type = TYPES[tensor.dtype] as FloatType;
  const count = tensor.shape.reduce((a, b) => a * b, 1);
  const view = new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  const out = new Float32Array(count);
  if (type === 'float32') {
    for (let i = 0; i < count; i++) out[i] = view.getFloat32(4 * i, true);
  } else {
    const table = decodeTable(type);
    for (let i = 0; i < count; i++) out[i] = table[view.getUint16(2 * i, true)] as number;
  }
  return out;
}

/** F32, F16 and BF16 as they are. `raise` returns the same bytes. NaN and infinite weights are kept: they are the file's numbers. */
export const dense: Format = {
  name: 'dense',

  recognise(module) {
    const weight = module.tensors.get('weight');
    return weight !== undefined && TYPES[weight.dtype] !== undefined;
  },

  validate(module) {
    const [outDim] = matrixShape(need(module, 'weight'), `${module.module}.weight`);
    checkBias(module, outDim);
    refuseRounded(module);
    refuseOthers(module, dense.name, ['weight', 'bias', ...CACHE_SCALES]);
  },

  pieces(module) {
    const weight = need(module, 'weight');
    return {tensor: 'weight', rowBytes: matrixShape(weight, `${module.module}.weight`)[1] * (weight.dtype === 'F32' ? 4 : 2)};
  },

  lower(module) {
    dense.validate(module);
    const weight = need(module, 'weight');
    checkBytes(weight, (weight.shape[0] as number) * dense.pieces!(module)!.rowBytes, `${module.module}.weight`);
    return lowerWhole(dense.begin!(module), weight.data);
  },

  begin(module, memory = HOST) {
    dense.validate(module);
    const {dtype, shape} = need(module, 'weight');
    const [outDim, inDim] = shape as readonly [number, number];
    const layout = floatLayout(TYPES[dtype] as FloatType, outDim, inDim);
    const {rowBytes} = dense.pieces!(module)!;
    const record = memory.record(layout, rowBytes % 4 === 0);
    const bias = module.tensors.get('bias') ?? null;
    const details = {dtype, ...cacheScalesOf(module)};
    let rows = 0;
    return {
      // Rows of whole words lie in the record as in the file; memory that may grow meanwhile is not for a reader of the platform's.
      ...(rowBytes % 4 === 0 && record.onHost ? {into: bytesOf(record.parts.codes)} : {}),
      add(data) {
        copyByteRows(layout, record.parts, data, rowBytes, 'lower', rows);
        rows += data.length / rowBytes;
      },
      finish: () => ({layout, words: record.words, bias, inputScheme: null, origin: {format: dense.name, details}}),
    };
  },

  raise({layout, words, bias, origin}) {
    const {outDim, inDim} = layout;
    const dtype = origin.details.dtype as string;
    const rowBytes = inDim * (dtype === 'F32' ? 4 : 2);
    const data = new Uint8Array(outDim * rowBytes);
    copyByteRows(layout, partsOf(layout, words), data, rowBytes, 'raise');
    const tensors = new Map<string, FileTensor>([['weight', {dtype, shape: [outDim, inDim], data}]]);
    if (bias !== null) tensors.set('bias', bias);
    raiseCacheScales(origin.details, tensors);
    return tensors;
  },

  reference(module) {
    return floatsOf(need(module, 'weight'));
  },
};
