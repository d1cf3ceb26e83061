/**
 * What a weight format is: pure functions over one module's tensors under their local names. A format is lowered once,
 * at load, into the packed record (kernels/layout.ts); kernels never see it. Adding a format is one file in this folder
 * and its line in index.ts.
 */
import type {WeightLayout} from '../../kernels/layout.js';
import type {RecordMemory} from '../../kernels/record_words.js';
import {ArgumentError, MissingError, UnsupportedError, UnusedTensorError} from '../errors.js';

/** One tensor of a file. `dtype` is the file's own spelling (safetensors 'F16', ggml 'Q4_1'); `shape` is outermost first. */
export interface TensorHeader {
  readonly dtype: string;
  readonly shape: readonly number[];
}

export interface FileTensor extends TensorHeader {
  /** Little-endian bytes, row-major, aligned so that typed arrays can view them. */
  readonly data: Uint8Array;
}

/** What is known of a module before its bytes are read. */
export interface ModuleHeader {
  /** Module prefix as in the file: 'model.layers.0.mlp.up_proj', 'blk.0.ffn_up'. Used in errors and to resolve per-module settings. */
  readonly module: string;
  readonly container: 'safetensors' | 'gguf';
  /** By local name: what follows the prefix and a dot ('qweight', 'weight_scale', 'bias'). */
  readonly tensors: ReadonlyMap<string, TensorHeader>;
  /** The checkpoint's quantisation config as parsed JSON (config.json's quantization_config, else the file beside it), or null. */
  readonly quantization: Readonly<Record<string, unknown>> | null;
}

export interface Module extends ModuleHeader {
  readonly tensors: ReadonlyMap<string, FileTensor>;
}

/** How the checkpoint says that x is quantised, if it does; step 4 gives it a meaning. */
export interface InputScheme {
  readonly dtype: 'float8_e4m3fn' | 'int8' | 'float4_e2m1fn';
  readonly origin: 'static' | 'dynamic';
  /** tensor: one scale; token: one a row; group: one a row and `groupSize` columns. */
  readonly granularity: 'tensor' | 'token' | 'group';
  readonly groupSize?: number;
  /** Upper bound of a dynamic row's absmax. */
  readonly scaleUb?: number;
  /** Static scale. x is divided by it. */
  readonly scale?: number;
  /** absmax / divisor is the dynamic scale (448, 127.5 ...). */
  readonly divisor?: number;
  /** Lower bound of a dynamic absmax (1e-4 in DeepSeek's kernels). */
  readonly amaxFloor?: number;
  /** Two levels: a group's scale is scaleType(globalScale * absmax / divisor) / globalScale. */
  readonly globalScale?: number;
  /** A dynamic scale is rounded up to a power of two. */
  readonly powersOfTwo?: true;
  /** What a dynamic scale is rounded to; float32 if absent. */
  readonly scaleType?: 'float8_e4m3fn' | 'float8_e8m0fnu';
}

export interface Lowered {
  readonly layout: WeightLayout;
  /** Words of `layout`, on the host; the caller owns them. */
  readonly words: Int32Array;
  /** As in the file (F16, BF16, F32), or null. */
  readonly bias: FileTensor | null;
  readonly inputScheme: InputScheme | null;
  /** The format's name and what `raise` needs beyond the record: small, JSON-serialisable. */
  readonly origin: Origin;
}

/** A lowering whose large tensor comes in pieces, in order: host memory then holds the record and a piece, not the record and the tensor. */
export interface Lowering {
  /** The next bytes of the tensor, whole rows of it, aligned as FileTensor's. They are the caller's again afterwards. Throws as `lower` does. */
  add(bytes: Uint8Array): void;
  /** Where the tensor's bytes go, if that is as they are: a reader may put all of them there in place of `add`. */
  readonly into?: Uint8Array;
  /** The record, once every row has been added. */
  finish(): Lowered;
}

export interface Origin {
  readonly format: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface Format {
  /** The name on disk. */
  readonly name: string;
  /** Do these tensors belong to this format? Looks at names, dtypes, shapes and config; never throws. At most one format says yes. */
  recognise(module: ModuleHeader): boolean;
  /** Throws where the module contradicts itself, its config, or asks for what we do not do; names every tensor it does not read. */
  validate(module: ModuleHeader): void;
  /** Bytes to record. Throws (with nothing allocated on a device) where the data is bad, such as NaN scales. */
  lower(module: Module): Lowered;
  /** The large tensor that `begin` takes in pieces: its local name and the bytes of a row. null where this module must come whole. */
  pieces?(module: ModuleHeader): {tensor: string; rowBytes: number} | null;
  /** Tensors that `begin` does not look into, beside that of `pieces`: their data are in the same map when `finish` is called. */
  late?(module: ModuleHeader): readonly string[];
  /** Starts the lowering of a module whose tensor of `pieces` comes in pieces: its data are empty here. Throws as `lower` does. */
  begin?(module: Module, memory?: RecordMemory): Lowering;
  /** Record to the module's tensors by local name: dtype, shape and bytes as they were read, or says in its docstring which differ. */
  raise(lowered: Lowered): ReadonlyMap<string, FileTensor>;
  /** QuantizationEncoding names that `allocate` knows ('Q4_0'), where the format has such. */
  readonly encodings?: readonly string[];
  /** The layout of an encoding over [outDim, inDim], or null where the encoding is another format's. Throws where K does not fit. */
  allocate?(encoding: string, outDim: number, inDim: number): WeightLayout | null;
  /** The weight [N, K] by plain loops straight from the file's layout: the oracle for `lower`. */
  reference(module: Module): Float32Array;
}

/** `lower` of a format that lowers in pieces: one piece. */
export function lowerWhole(lowering: Lowering, data: Uint8Array): Lowered {
  lowering.add(data);
  return lowering.finish();
}

/** The tensor, or MissingError naming module and tensor. */
export function need<T extends TensorHeader>(module: {module: string; tensors: ReadonlyMap<string, T>}, name: string): T {
  const tensor = module.tensors.get(name);
  if (tensor !== undefined) return tensor;
  throw new MissingError({
    where: `${module.module}.${name}`,
    expected: 'a tensor of this name in the checkpoint',
    received: `only ${[...module.tensors.keys()].join(', ') || 'nothing'}`,
  });
}

/** Throws UnusedTensorError if the module holds a tensor whose local name is not in `read`. */
export function refuseOthers(module: ModuleHeader, format: string, read: readonly string[]): void {
  const others = [...module.tensors.keys()].filter((name) => !read.includes(name));
  if (others.length === 0) return;
  throw new UnusedTensorError({
    where: module.module,
    expected: `only ${read.join(', ')} for format '${format}'`,
    received: others.join(', '),
    why: 'A tensor that nothing reads would make the numbers quietly wrong.',
    remedy: 'Load with a version of tfjs-linear that knows it, or remove it from the file if it has no meaning.',
  });
}

/** The one format that recognises the module. Throws UnsupportedError where none or several do. */
export function findFormat(formats: readonly Format[], module: ModuleHeader): Format {
  const found = formats.filter((f) => f.recognise(module));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  const tensors = [...module.tensors].map(([name, t]) => `${name} ${t.dtype} [${t.shape}]`).join(', ');
  const config: Readonly<Record<string, unknown>> = module.quantization ?? {};
  const algo = config.quant_algo === undefined ? '' : `, quant_algo ${config.quant_algo}`;
  throw new UnsupportedError({
    where: module.module,
    expected: `tensors of one known format (${formats.map((f) => f.name).join(', ')})`,
    received: found.length > 1 ? `${tensors}, which fits ${found.map((f) => f.name).join(' and ')}` : tensors || 'no tensors',
    why: `Quantisation method in the config: ${String(config.quant_method ?? 'none')}${algo}.`,
  });
}

/** The format of this name. Throws ArgumentError where there is none. */
export function formatNamed(formats: readonly Format[], name: string): Format {
  const format = formats.find((f) => f.name === name);
  if (format !== undefined) return format;
  throw new ArgumentError({where: 'format', expected: `one of ${formats.map((f) => f.name).join(', ')}`, received: `'${name}'`});
}
