/** A case of test/grid/cases.ts as the files a user would open, with its reference numbers. */
import {decodeTable, encodeFloat, toBfloat16} from '../../kernels/float_codes.js';
import type {FileTensor, Module} from '../../src/formats/format.js';
import type {SafetensorsDtype} from '../../src/io/safetensors_types.js';
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import type {Case} from '../grid/cases.js';
import {randomX, seeded} from '../grid/layouts.js';
import {ggufFile, ggufListed} from '../io/bytes_support.js';
import {jsonBytes, readFixture} from './files.js';
import {readTensors} from './fixtures.js';

export type Files = Readonly<Record<string, Uint8Array>>;

export interface CaseFiles {
  /** What `openCheckpoint` takes. */
  readonly files: Files;
  /** x [rows, K] */
  readonly x: Float32Array;
  /** x . W^T + bias in float64 [rows, N], from the tool's own numbers. */
  readonly y: ArrayLike<number>;
  /** [N, K]: the tool's own float32. */
  readonly weight: Float32Array;
  /** [N], or null. */
  readonly bias: Float32Array | null;
  /** All tensors of the fixture, under the file's names. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
}

/** ggml's ids of the types that need a container of their own here. */
const GGML_IDS: Readonly<Record<string, number>> = {F32: 0, Q4_1: 3, Q4_K: 12, Q5_K: 13, Q6_K: 14};

/** How a safetensors checkpoint says its quantisation: in config.json, or in a quantize_config.json beside it. */
export type ConfigFile = 'config.json' | 'quantize_config.json';

/** The case as a format sees it. */
export async function moduleOf(c: Case): Promise<Module> {
  const {files} = await filesOf(c);
  const opened = await openTensorFiles(files);
  const tensors = new Map<string, FileTensor>();
  for (const name of opened.names()) {
    const info = opened.info(name);
    if (info === undefined || !name.startsWith(`${c.module}.`)) continue;
    tensors.set(name.slice(c.module.length + 1), {dtype: info.dtype, shape: info.shape, data: await opened.read(name)});
  }
  await opened.close();
  return {module: c.module, container: c.container, tensors, quantization: c.quantization};
}

export async function filesOf(c: Case, configFile: ConfigFile = 'config.json'): Promise<CaseFiles> {
  if (c.file === null) return denseFiles(c);
  const tensors = await readTensors(`quant/${c.file}`);
  return c.container === 'gguf' ? ggufFiles(c, tensors) : safetensorsFiles(c, tensors, configFile);
}

async function safetensorsFiles(c: Case, tensors: ReadonlyMap<string, FileTensor>, configFile: ConfigFile): Promise<CaseFiles> {
  const config = configFile === 'config.json' ? {quantization_config: c.quantization} : c.quantizeConfig;
  const files = {'model.safetensors': await readFixture(`quant/${c.file}`), [configFile]: jsonBytes(config)};
  const bias = tensors.get(`${c.module}.bias`);
  const weight = tensors.get('ref.weight');
  return {
    files,
    x: floatsOf(needed(tensors, 'ref.x')),
    y: floatsOf(needed(tensors, 'ref.y')),
    weight: weight === undefined ? byFormula(c, tensors) : floatsOf(weight),
    bias: bias === undefined ? null : floatsOf(bias),
    tensors,
  };
}

/** Blocks of the real container, or of one made here where the case has other rows or a bias. */
async function ggufFiles(c: Case, tensors: ReadonlyMap<string, FileTensor>): Promise<CaseFiles> {
  const raw = needed(tensors, 'weight.raw');
  const [rows, rowBytes] = raw.shape as [number, number];
  const x = floatsOf(needed(tensors, 'ref.x'));
  const stored = floatsOf(needed(tensors, 'ref.weight'));
  const inContainer = !c.file?.includes('smollm2') && c.outDim === rows && !c.bias;
  if (inContainer) {
    const files = {'gguf_all_types.gguf': await readFixture('quant/gguf_all_types.gguf')};
    return {files, x, y: floatsOf(needed(tensors, 'ref.y')), weight: stored, bias: null, tensors};
  }
  const weight = repeatRows(stored, c.inDim, c.outDim);
  const bias = c.bias ? randomX(1, c.outDim, 7) : null;
  return {
    files: {'model.gguf': ggufContainer(c, repeatRows(raw.data, rowBytes, c.outDim), bias)},
    x,
    y: product(x, weight, bias, c),
    weight,
    bias,
    tensors,
  };
}

function ggufContainer(c: Case, blocks: Uint8Array, bias: Float32Array | null): Uint8Array {
  const begin = Math.ceil(blocks.length / 32) * 32;
  const listed = [ggufListed(`${c.module}.weight`, [c.inDim, c.outDim], GGML_IDS[c.type ?? ''] as number, 0)];
  const data = new Uint8Array(begin + (bias?.byteLength ?? 0));
  data.set(blocks);
  if (bias !== null) {
    listed.push(ggufListed(`${c.module}.bias`, [c.outDim], GGML_IDS.F32 as number, begin));
    data.set(new Uint8Array(bias.buffer), begin);
  }
  return ggufFile({tensors: listed, data});
}

/** Seeded numbers, rounded to the type. */
function denseFiles(c: Case): CaseFiles {
  const random = seeded(c.outDim * c.inDim);
  const tensor = (name: string, shape: number[]) => {
    const numbers = Float32Array.from({length: shape.reduce((a, b) => a * b, 1)}, () => random() * 2 - 1);
    const data = encode(numbers, c.type as SafetensorsDtype);
    return {
      file: {name: `${c.module}.${name}`, dtype: c.type as SafetensorsDtype, shape, data},
      values: floatsOf({dtype: c.type as string, shape, data}),
    };
  };
  const weight = tensor('weight', [c.outDim, c.inDim]);
  const bias = c.bias ? tensor('bias', [c.outDim]) : null;
  const x = randomX(5, c.inDim, 3);
  return {
    files: {'model.safetensors': writeSafetensors([weight.file, ...(bias === null ? [] : [bias.file])]), 'config.json': jsonBytes({})},
    x,
    y: product(x, weight.values, bias?.values ?? null, c),
    weight: weight.values,
    bias: bias?.values ?? null,
    tensors: new Map(),
  };
}

function encode(numbers: Float32Array, dtype: SafetensorsDtype): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(numbers.buffer);
  const codes = Uint16Array.from(numbers, dtype === 'BF16' ? toBfloat16 : (v) => encodeFloat('float16', v));
  return new Uint8Array(codes.buffer);
}

/** code * scale, for the slices of real checkpoints that came without the tool's floats: e4m3 codes, BF16 scales a row or a 128 x 128 block. */
function byFormula(c: Case, tensors: ReadonlyMap<string, FileTensor>): Float32Array {
  const codes = needed(tensors, `${c.module}.weight`);
  const scale = needed(tensors, `${c.module}.weight_scale`);
  const scales = floatsOf(scale);
  const values = decodeTable('float8_e4m3fn');
  const [blocks, columns] = scale.shape as [number, number];
  const perRow = blocks === c.outDim;
  return Float32Array.from(codes.data, (code, i) => {
    const [n, k] = [Math.floor(i / c.inDim), i % c.inDim];
    const at = perRow ? n : (n >> 7) * columns + (k >> 7);
    return (values[code] as number) * (scales[at] as number);
  });
}

function needed(tensors: ReadonlyMap<string, FileTensor>, name: string): FileTensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`The fixture has no '${name}'.`);
  return tensor;
}

/** Numbers of an F32, F16 or BF16 tensor. */
export function floatsOf({dtype, data}: FileTensor): Float32Array {
  if (dtype === 'F32') return new Float32Array(data.buffer, data.byteOffset, data.length / 4);
  const table = decodeTable(dtype === 'F16' ? 'float16' : 'bfloat16');
  return Float32Array.from(new Uint16Array(data.buffer, data.byteOffset, data.length / 2), (code) => table[code] as number);
}

function repeatRows<T extends Float32Array | Uint8Array>(rows: T, width: number, count: number): T {
  const out = new (rows.constructor as new (length: number) => T)(count * width);
  for (let i = 0; i < out.length; i++) out[i] = rows[i % rows.length] as number;
  return out;
}

/** x . W^T + bias in float64. */
export function product(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  {outDim: n, inDim: k}: Pick<Case, 'outDim' | 'inDim'>,
): Float64Array {
  const rows = x.length / k;
  const y = new Float64Array(rows * n);
  for (let m = 0; m < rows; m++) {
    for (let j = 0; j < n; j++) {
      let sum = bias === null ? 0 : (bias[j] as number);
      for (let c = 0; c < k; c++) sum += (x[m * k + c] as number) * (weight[j * k + c] as number);
      y[m * n + j] = sum;
    }
  }
  return y;
}
