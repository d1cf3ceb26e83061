/** Checkpoints with random contents to load in the bench, written once to a folder that git ignores: the sizes of a real model's layers. */
import {BLOCK_TYPES} from '../../src/formats/gguf_types.js';
import type {SafetensorsDtype} from '../../src/io/safetensors_types.js';
import {type SafetensorsTensor, writeSafetensors} from '../../src/io/safetensors_writer.js';
import {ggufFile, ggufListed} from '../io/bytes_support.js';
import {type Random, seeded} from './layouts.js';

/** One file of a few layers. */
export interface LoadingModel {
  /** Its folder. */
  readonly name: string;
  readonly format: string;
  readonly file: string;
  /** config.json, or null. */
  readonly config: object | null;
  /** Modules, in the file's order. */
  readonly modules: readonly string[];
  bytes(): Uint8Array;
}

const modulesOf = (prefix: string, local: string, count: number): string[] =>
  Array.from({length: count}, (_, i) => `${prefix}.${i}.${local}`);

/** Random bytes, each ANDed with `mask`; they repeat after 256 KiB, which no reader notices. */
function randomBytes(length: number, random: Random, mask = 0xff): Uint8Array {
  const bytes = new Uint8Array(length);
  const filled = Math.min(length, 2 ** 18);
  for (let i = 0; i < filled; i++) bytes[i] = (random() * 256) & mask;
  for (let at = filled; at < length; at *= 2) bytes.copyWithin(at, 0, at);
  return bytes;
}

/** Positive float16 numbers between 2^-6 and 2^-4. */
function halves(count: number, random: Random): Uint8Array {
  const codes = Uint16Array.from({length: count}, () => 0x2400 + Math.floor(random() * 0x800));
  return new Uint8Array(codes.buffer);
}

type Entry = Omit<SafetensorsTensor, 'name'>;

function entry(dtype: SafetensorsDtype, shape: readonly number[], data: Uint8Array): Entry {
  return {dtype, shape, data};
}

function safetensors(modules: readonly string[], of: () => Record<string, Entry>): Uint8Array {
  return writeSafetensors(modules.flatMap((module) => Object.entries(of()).map(([name, e]) => ({name: `${module}.${name}`, ...e}))));
}

function gptq(size: number, layers: number): LoadingModel {
  const group = 128;
  const modules = modulesOf('model.layers', 'mlp.up_proj', layers);
  const quantization = {quant_method: 'gptq', bits: 4, group_size: group, sym: true, desc_act: false, checkpoint_format: 'gptq'};
  return {
    name: 'gptq-int4',
    format: 'GPTQ 4 bit, groups of 128',
    file: 'model.safetensors',
    config: {model_type: 'llama', quantization_config: quantization},
    modules,
    bytes() {
      const random = seeded(4);
      const groups = size / group;
      const order = Int32Array.from({length: size}, (_, i) => Math.floor(i / group));
      return safetensors(modules, () => ({
        qweight: entry('I32', [size / 8, size], randomBytes((size * size) / 2, random)),
        qzeros: entry('I32', [groups, size / 8], new Uint8Array((groups * size) / 2).fill(0x77)),
        scales: entry('F16', [groups, size], halves(groups * size, random)),
        g_idx: entry('I32', [size], new Uint8Array(order.buffer)),
      }));
    },
  };
}

function fp8(size: number, layers: number): LoadingModel {
  const block = 128;
  const modules = modulesOf('model.layers', 'mlp.up_proj', layers);
  return {
    name: 'fp8-block128',
    format: 'fp8, blocks of 128 x 128',
    file: 'model.safetensors',
    config: {
      model_type: 'llama',
      quantization_config: {quant_method: 'fp8', fmt: 'e4m3', activation_scheme: 'dynamic', weight_block_size: [block, block]},
    },
    modules,
    bytes() {
      const random = seeded(8);
      const blocks = size / block;
      // Without the top bit of the exponent no code is NaN.
      const codes = () => randomBytes(size * size, random, 0xbf);
      const scales = () => new Uint8Array(Float32Array.from({length: blocks * blocks}, () => 0.01 + random()).buffer);
      return safetensors(modules, () => ({
        weight: entry('F8_E4M3', [size, size], codes()),
        weight_scale_inv: entry('F32', [blocks, blocks], scales()),
      }));
    },
  };
}

/** ggml's ids. */
const GGML_IDS = {Q4_0: 2, Q4_K: 12, Q6_K: 14} as const;

function gguf(typeName: keyof typeof GGML_IDS, size: number, count: number): LoadingModel {
  const modules = modulesOf('blk', 'ffn_up', count);
  return {
    name: `gguf-${typeName.toLowerCase()}`,
    format: `GGUF ${typeName}`,
    file: `model.gguf`,
    config: null,
    modules,
    bytes() {
      const random = seeded(6);
      const type = BLOCK_TYPES.get(typeName);
      if (type === undefined) throw new Error(`no type ${typeName}`);
      const bytes = (size * size * type.bytes) / type.elements;
      const data = randomBytes(bytes * count, random);
      const view = new DataView(data.buffer);
      for (let block = 0; block < data.length; block += type.bytes) {
        view.setUint16(block + type.scale.at, 0x2400, true);
        if (type.offset !== undefined) view.setUint16(block + type.offset.at, 0x2000, true);
      }
      const tensors = modules.map((module, i) => ggufListed(`${module}.weight`, [size, size], GGML_IDS[typeName], i * bytes));
      return ggufFile({tensors, data});
    },
  };
}

/** Models of layers of N = K = size, each with about as many bytes as `layers` layers of 4 bits. */
export function loadingModels(size: number, layers: number): LoadingModel[] {
  const fewer = (ratio: number) => Math.max(1, Math.floor(layers * ratio));
  return [
    gptq(size, layers),
    gguf('Q4_0', size, layers),
    gguf('Q4_K', size, layers),
    gguf('Q6_K', size, fewer(0.65)),
    fp8(size, fewer(0.5)),
  ];
}

/** What the bench loads, written into `folder`, each in a folder of its own, unless it is there. In Node. */
export async function writeLoadingModels({folder}: {folder: string}): Promise<{name: string; format: string; file: string}[]> {
  const fs = await import('node:fs');
  const path = await import('node:path');
  const models = loadingModels(4096, 8);
  for (const model of models) {
    const to = path.join(folder, model.name);
    if (fs.existsSync(path.join(to, model.file))) continue;
    fs.mkdirSync(to, {recursive: true});
    if (model.config !== null) fs.writeFileSync(path.join(to, 'config.json'), JSON.stringify(model.config));
    // Renamed once whole: a run that is cut short leaves no half of a file.
    fs.writeFileSync(path.join(to, 'part'), model.bytes());
    fs.renameSync(path.join(to, 'part'), path.join(to, model.file));
  }
  return models.map(({name, format, file}) => ({name, format, file}));
}
