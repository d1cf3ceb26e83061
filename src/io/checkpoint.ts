/** A checkpoint: named tensors in files, and the layers they stand for. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import {hasOwnCopy} from '../../kernels/holder.js';
import type {InputQuantization} from '../../kernels/input_quantization.js';
import {type RecordMemory, WasmPlaces} from '../../kernels/record_words.js';
import {SpareWords} from '../../kernels/spare_words.js';
import {placeOnDevice} from '../../kernels/webgpu/warm_up.js';
import {checkArray, checkFunction, checkOptions} from '../arguments.js';
import {DeviceRef, deviceOf, onDevice} from '../device.js';
import {ArgumentError, didYouMean, MissingError, UnsupportedError} from '../errors.js';
import {dense} from '../formats/dense.js';
import {type FileTensor, findFormat, type Lowered, type ModuleHeader, type TensorHeader} from '../formats/format.js';
import {FORMATS} from '../formats/index.js';
import {DistributedMLP} from '../layers/distributed_mlp.js';
import {Linear, type LinearConfig} from '../layers/linear.js';
import {MLP, type MLPConfig} from '../layers/mlp.js';
import type {ShardingStrategy} from '../sharding/strategy.js';
import {checkProjections, refuseTransposed} from './check_modules.js';
import {readConfigs} from './config_files.js';
import {classOf, configOf, type HostLinear, hostOf, initOf, linearOf, obstacle, reordered, stack} from './host_linear.js';
import {lowerModule} from './lower_module.js';
import {toFloat32} from './plain_floats.js';
import {SmallTensors} from './small_tensors.js';
import type {SourceInput, SourceOptions} from './source.js';
import {openTensorFiles, type TensorFiles} from './tensor_files.js';

export interface LinearOptions {
  /** Default: the current backend at each call. */
  device?: DeviceRef | string;
  /** Several: the layer is spread over them, a ShardedLinear. */
  devices?: readonly (DeviceRef | string)[];
  /** With `devices`. Default: rows, evenly. */
  strategy?: ShardingStrategy;
  /** With `devices`: where results lie. Default: the current backend at each call. */
  home?: DeviceRef | string | null;
  /** 'auto' or 'float32'; see InputPrecision. */
  inputPrecision?: LinearConfig['inputPrecision'];
  /** Rounding of x before the product. Default: what the checkpoint's config says (fp8, int8 and fp4 schemes), none for GGUF. */
  inputQuantization?: InputQuantization | 'none';
  /** Name of the layer; state keys then carry it. */
  name?: string;
  /** Row i of the layer is the file's row rows[i], weight and bias. Default: the file's order. */
  rows?: readonly number[];
  /** Stops the reading: the promise is rejected with the signal's reason. Default: none. */
  signal?: AbortSignal;
}

export interface MLPOptions extends Omit<LinearOptions, 'device' | 'rows' | 'strategy'> {
  /** One: the MLP lies there. Several: a DistributedMLP over them. */
  devices?: readonly (DeviceRef | string)[];
  /** Parts of the inner width in proportion, one number a device. Default: evenly. */
  shares?: readonly number[] | null;
  /** Default 'silu'. */
  activationFunction?: Activation;
  /** As MLPConfig has it (`swiglu_limit` of a model's config). Default: none. */
  swigluLimit?: number | null;
}

const SHARED_OPTIONS = ['devices', 'home', 'inputPrecision', 'inputQuantization', 'name', 'signal'];
const LINEAR_OPTIONS = [...SHARED_OPTIONS, 'device', 'strategy', 'rows'];
const MLP_OPTIONS = [...SHARED_OPTIONS, 'shares', 'activationFunction', 'swigluLimit'];

/** Local names of the projections in either naming. */
const PROJECTIONS = {
  safetensors: {gate: 'gate_proj', up: 'up_proj', down: 'down_proj'},
  gguf: {gate: 'ffn_gate', up: 'ffn_up', down: 'ffn_down'},
} as const;

/**
 * An open checkpoint; `openCheckpoint` makes it. Layers and tensors are read as they are asked for.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 2, outDim: 1});
 * const {bytes} = tfl.saveSafetensors({up_proj: layer});
 * const checkpoint = await tfl.openCheckpoint({'model.safetensors': bytes});
 * checkpoint.info('up_proj.weight').shape; // [1, 2]
 * (await checkpoint.linear('up_proj')).outDim; // 1
 * await checkpoint.close();
 * ```
 */
export class Checkpoint {
  /** Filled at the first question. */
  private readonly byModule = new Map<string, string[]>();
  private readonly spare = new SpareWords();
  private readonly places = new WasmPlaces(this.spare);
  private readonly small: SmallTensors;

  private constructor(
    private readonly files: TensorFiles,
    /** Parsed config.json, or the GGUF metadata; null where there is none. */
    readonly config: Readonly<Record<string, unknown>> | null,
    /** The quantisation config as in config.json or quantize_config.json, or hf_quant_config.json as config.json would have it; or null. */
    readonly quantization: Readonly<Record<string, unknown>> | null,
  ) {
    this.small = new SmallTensors(files, (module) => this.moduleHeader(module));
  }

  static async open(source: SourceInput, options: SourceOptions = {}): Promise<Checkpoint> {
    const files = await openTensorFiles(source, options);
    try {
      if (files.container === 'gguf') return new Checkpoint(files, files.metadata, null);
      const {config, quantization} = await readConfigs(files);
      return new Checkpoint(files, config, quantization);
    } catch (error) {
      await files.close();
      throw error;
    }
  }

  /** Tensor names as in the file. */
  names(): string[] {
    return this.files.names();
  }

  /** Which kind of file this is. */
  get container(): 'safetensors' | 'gguf' {
    return this.files.container;
  }

  /** dtype (the file's spelling), shape (outermost first) and bytes of a tensor. Throws MissingError. */
  info(name: string): {dtype: string; shape: readonly number[]; byteLength: number} {
    const info = this.files.info(name);
    if (info !== undefined) return info;
    throw new MissingError({
      where: `checkpoint tensor '${name}'`,
      expected: 'a name in the checkpoint',
      received: `none of ${this.names().length} names.${didYouMean(name, this.names())}`,
    });
  }

  /** A text file beside the weights (tokenizer.json, chat_template.jinja), or null. */
  text(fileName: string): Promise<string | null> {
    return this.files.text(fileName);
  }

  /**
   * The linear layer under a module prefix: 'model.layers.0.mlp.up_proj', 'blk.0.ffn_up'. Packed as in the file.
   * Throws UnusedTensorError for a tensor under the prefix that its format does not read, UnsupportedError for a format we do not know;
   * nothing is allocated then.
   */
  async linear(module: string, options: LinearOptions = {}): Promise<Linear> {
    checkOptions('linear', options, LINEAR_OPTIONS);
    const {device, devices, rows} = options;
    const isWhole = devices === undefined && rows === undefined;
    const place = isWhole ? this.places.placeOn(deviceOf(device)?.backendName ?? tf.getBackend()) : null;
    try {
      const lowered = await this.lower(module, options.signal, place ?? this.spare);
      const host = reordered(hostOf(lowered, this.quantization), options, this.spare);
      const tensor = place?.tensor() ?? null;
      const make = () => linearOf(host, options, classOf(lowered), tensor);
      return await this.arrived(tensor === null ? make() : onDevice(new DeviceRef('wasm'), make), [host], options);
    } finally {
      place?.end();
    }
  }

  /**
   * Modules that read the same x (q, k and v) as one layer: N is the sum of theirs, in the order given, and `rows` counts through all of them.
   * null where they cannot be one record: layouts that differ, column orders of their own, a scale over several rows, a bias on some only.
   */
  async stacked(modules: readonly string[], options: LinearOptions = {}): Promise<Linear | null> {
    checkOptions('stacked', options, LINEAR_OPTIONS);
    checkArray('stacked: modules', modules, 'module prefixes');
    const parts = await Promise.all(Array.from(modules, (module) => this.lower(module, options.signal)));
    const biases = parts.filter((part) => part.bias !== null).length;
    if (obstacle(parts) || (biases !== 0 && biases !== parts.length)) return null;
    const host = reordered(stack(parts, this.quantization, this.spare), options, this.spare);
    return this.arrived(linearOf(host, options, Linear), [host], options);
  }

  /** The MLP under the prefix of its three projections ('model.layers.0.mlp', 'blk.0'). gate and up are one record where their layouts agree. */
  async mlp(prefix: string, options: MLPOptions = {}): Promise<MLP> {
    checkOptions('mlp', options, MLP_OPTIONS);
    const names = PROJECTIONS[this.container];
    const [gate, up, down] = (await Promise.all(
      [names.gate, names.up, names.down].map((child) => this.lower(`${prefix}.${child}`, options.signal)),
    )) as [Lowered, Lowered, Lowered];
    const biases = [gate, up, down].filter((l) => l.bias !== null).length;
    if (biases !== 0 && biases !== 3) {
      const remedy = 'Load them one by one with linear().';
      throw new UnsupportedError({
        where: prefix,
        expected: 'a bias on all three projections or on none',
        received: `${biases} of 3`,
        remedy,
      });
    }
    checkProjections(prefix, gate.layout, up.layout, down.layout);
    const stacked = obstacle([gate, up]) ? null : stack([gate, up], this.quantization, this.spare);
    const parts: [string, HostLinear][] =
      stacked === null
        ? [
            ['gate_proj', hostOf(gate, this.quantization)],
            ['up_proj', hostOf(up, this.quantization)],
          ]
        : [['gate_up', stacked]];
    parts.push(['down_proj', hostOf(down, this.quantization)]);
    const children = Object.fromEntries(parts.map(([child, host]) => [child, configOf(host, options, `${prefix}.${child}`)]));
    const init = Object.fromEntries(parts.map(([child, l]) => [child, initOf(l.words, l.bias)]));
    const config: MLPConfig = {
      hiddenDim: gate.layout.inDim,
      feedForwardLength: gate.layout.outDim,
      hasBias: biases === 3,
      activationFunction: options.activationFunction ?? 'silu',
      swigluLimit: options.swigluLimit ?? null,
      ...(options.name === undefined ? {} : {name: options.name}),
      children,
    };
    const {devices, shares = null, home = null} = options;
    const hosts = parts.map(([, host]) => host);
    if (devices === undefined || !(devices?.length >= 2))
      return this.arrived(new MLP({...config, ...(devices === undefined ? {} : {devices})}, init), hosts, options);
    return this.arrived(new DistributedMLP({...config, devices, shares, home}, init), hosts, options);
  }

  /** Any other tensor as float32 of the file's shape; the caller disposes it. Throws UnsupportedError for a type that needs a format. */
  async tensor(name: string, options: {signal?: AbortSignal} = {}): Promise<tf.Tensor> {
    checkOptions('tensor', options, ['signal']);
    const info = this.info(name);
    const data = await this.files.read(name, options.signal);
    const values = toFloat32(info.dtype, data, name);
    return values === null ? this.unpacked(name, {...info, data}) : tf.tensor(values, [...info.shape], 'float32');
  }

  /** Closes files and pending reads. Layers stay. */
  close(): Promise<void> {
    this.spare.clear();
    this.places.close();
    this.small.clear();
    return this.files.close();
  }

  /** Reads and lowers a module. */
  async lower(module: string, signal?: AbortSignal, memory: RecordMemory = this.spare): Promise<Lowered> {
    const plan = this.small.planOf(module);
    if (plan.format === dense) refuseTransposed(module, this.config);
    return lowerModule(this.files, this.small, plan, memory, signal);
  }

  /** The layer once its weights are on their device, where that is one that may have no memory for them; else it is disposed, and the error thrown. */
  private async arrived<T extends tf.LayersModel>(layer: T, hosts: readonly HostLinear[], {devices}: LinearOptions): Promise<T> {
    try {
      const weights = layer.weights.map((w) => w.read());
      await placeOnDevice(weights);
      if (devices === undefined && weights.every(hasOwnCopy)) for (const {words} of hosts) this.spare.give(words);
      return layer;
    } catch (error) {
      layer.dispose();
      throw error;
    }
  }

  private moduleHeader(module: string): ModuleHeader {
    if (typeof module !== 'string') {
      throw new ArgumentError({where: 'checkpoint module', expected: 'a prefix of tensor names', received: module});
    }
    const tensors = new Map<string, TensorHeader>();
    for (const name of this.under(module)) {
      const {dtype, shape} = this.info(name);
      tensors.set(name.slice(module.length + 1), {dtype, shape});
    }
    if (tensors.size === 0) {
      const modules = new Set(this.names().map((n) => n.slice(0, Math.max(0, n.lastIndexOf('.')))));
      throw new MissingError({
        where: `checkpoint module '${module}'`,
        expected: 'tensors under this prefix',
        received: `none of ${this.names().length} names.${didYouMean(module, modules)}`,
        remedy: /(^|\.)(lm_head|output)$/.test(module) ? 'If it is tied to the embedding, ask for that.' : '',
      });
    }
    return {module, container: this.container, tensors, quantization: this.quantization};
  }

  /** Names that begin with the module's and a dot, in the file's order. */
  private under(module: string): readonly string[] {
    if (this.byModule.size === 0) {
      for (const name of this.names()) {
        for (let cut = name.indexOf('.'); cut !== -1; cut = name.indexOf('.', cut + 1)) {
          const prefix = name.slice(0, cut);
          const names = this.byModule.get(prefix);
          if (names === undefined) this.byModule.set(prefix, [name]);
          else names.push(name);
        }
      }
    }
    return this.byModule.get(module) ?? [];
  }

  private unpacked(name: string, tensor: FileTensor): tf.Tensor {
    const cut = name.lastIndexOf('.');
    const header = {module: cut === -1 ? name : name.slice(0, cut), container: this.container, quantization: null};
    const module = {...header, tensors: new Map([[name.slice(cut + 1), tensor]])};
    const format = findFormat(FORMATS, module);
    format.validate(module);
    const lowered = format.lower(module);
    const layer = linearOf(hostOf(lowered, null), {}, Linear);
    const values = layer.weight.dequantize();
    layer.dispose();
    return values;
  }
}

/**
 * Opens a checkpoint: safetensors (one file, or shards with an index) or GGUF. Only headers are read; weights are read as layers are asked for.
 * @param source a path (Node) or URL of a folder or of one .safetensors / .gguf file; File[] or Blob[] with names; or {fileName: bytes}
 * Throws FileFormatError for a file that will never be valid, SourceError for one that cannot be read now.
 *
 * ```js
 * const file = tfl.saveSafetensors({up_proj: new tfl.Linear({inDim: 2, outDim: 1})});
 * const checkpoint = await tfl.openCheckpoint({'model.safetensors': file.bytes});
 * checkpoint.names(); // ["up_proj.weight"]
 * ```
 */
export async function openCheckpoint(source: SourceInput, options: SourceOptions = {}): Promise<Checkpoint> {
  checkOptions('openCheckpoint', options, ['onProgress', 'signal']);
  checkFunction('openCheckpoint: onProgress', options.onProgress);
  return Checkpoint.open(source, options);
}
