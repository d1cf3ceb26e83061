/** Layers to a safetensors file. */
import * as tf from '@tensorflow/tfjs';
import {encodeFloat, toBfloat16} from '../../kernels/float_codes.js';
import type {InputQuantization} from '../../kernels/input_quantization.js';
import {type WeightLayout, withGrids} from '../../kernels/layout.js';
import {sliceWords} from '../../kernels/slice.js';
import {checkObject} from '../arguments.js';
import {ArgumentError, UnsupportedError} from '../errors.js';
import {type FileTensor, findFormat, formatNamed, type InputScheme, type Lowered} from '../formats/format.js';
import {FORMATS} from '../formats/index.js';
import {standardLayout} from '../formats/standard.js';
import {fileTensor} from '../formats/tensors.js';
import {DenseWeight} from '../layers/dense_weight.js';
import {Linear} from '../layers/linear.js';
import {MLP} from '../layers/mlp.js';
import type {LayerOrigin, PartOrigin} from '../layers/origin.js';
import {StackedLinear} from '../layers/stacked_linear.js';
import {recordOf} from '../sharding/record.js';
import {ShardedWeight} from '../sharding/sharded_weight.js';
import {toFloat32} from './plain_floats.js';
import type {SafetensorsDtype} from './safetensors_types.js';
import {type SafetensorsTensor, writeSafetensors} from './safetensors_writer.js';
import {type ConfigNeeds, configOfModules} from './save_config.js';

/**
 * Layers by the prefix that their tensors get: 'model.layers.0.mlp.up_proj'; an MLP or StackedLinear by the prefix of its projections
 * ('model.layers.0.self_attn' of q_proj, k_proj and v_proj).
 */
export type SavedLayers = Readonly<Record<string, Linear | MLP>>;

export interface SavedFile {
  /** The whole file. */
  bytes: Uint8Array;
  /** What config.json beside it must hold: `quantization_config`, or nothing. */
  config: Record<string, unknown>;
}

/** One module to write, its values on the host. */
interface Part {
  readonly module: string;
  readonly layout: WeightLayout;
  readonly words: Int32Array;
  readonly bias: Float32Array | null;
  /** null: no file held it so. */
  readonly origin: PartOrigin | null;
  readonly quantization: LayerOrigin['quantization'];
  readonly input: InputScheme | null;
}

/** A layer's values on the host. */
interface Values {
  readonly layout: WeightLayout;
  /** float32 numbers are words of 32-bit codes. */
  readonly words: Int32Array;
  readonly bias: Float32Array | null;
  /** The first number of the static scale of x. */
  readonly inputScale: number | null;
}

/**
 * Layers as a safetensors file, each in the layout it was loaded from, byte for byte; floats as they are; layers that no file held so
 * (quantizeModel's, stacked, cut or spread ones) in compressed-tensors' layouts, or plain fp8 files'. gate and up of an MLP are apart again, and a
 * StackedLinear's projections; a layer spread over devices is whole again. What a layer does beside its weights (clipping, its activation) is no part
 * of such a file. The file is read back before it is returned.
 * Reads weights at once: on a device that cannot, use saveSafetensorsAsync.
 * Throws UnsupportedError, with the reason, for a record that no safetensors layout holds (ggml's K-quants), or layers of different configs.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 4, outDim: 2});
 * const {bytes, config} = tfl.saveSafetensors({up_proj: layer});
 * const again = await tfl.openCheckpoint({'model.safetensors': bytes, 'config.json': new TextEncoder().encode(JSON.stringify(config))});
 * again.names(); // ["up_proj.weight"]
 * ```
 */
export function saveSafetensors(layers: SavedLayers): SavedFile {
  return write(partsOf(linearsOf(layers).map((entry) => ({...entry, values: valuesOf(entry.layer)}))));
}

/**
 * As saveSafetensors, for devices whose tensors cannot be read at once.
 *
 * ```js
 * const {bytes, config} = await tfl.saveSafetensorsAsync({up_proj: new tfl.Linear({inDim: 4, outDim: 2})});
 * config; // {}
 * bytes.length > 32; // true
 * ```
 */
export async function saveSafetensorsAsync(layers: SavedLayers): Promise<SavedFile> {
  return write(partsOf(await Promise.all(linearsOf(layers).map(async (entry) => ({...entry, values: await valuesOfAsync(entry.layer)})))));
}

interface Entry {
  readonly module: string;
  readonly layer: Linear;
  /** Modules whose rows are one record here (gate and up of an MLP, the projections of a StackedLinear), in order; null: the layer is one module. */
  readonly pieces: readonly Piece[] | null;
}

interface Piece {
  readonly module: string;
  readonly rows: number;
}

function linearsOf(layers: SavedLayers): Entry[] {
  checkObject('saveSafetensors', layers, 'layers by prefix');
  if (layers instanceof tf.LayersModel) {
    const received = `a model: ${layers.name}`;
    throw new ArgumentError({
      where: 'saveSafetensors',
      expected: 'layers by prefix',
      received,
      remedy: "Give each layer its prefix: {'up_proj': layer}.",
    });
  }
  return Object.entries(layers).flatMap(([prefix, layer]): Entry[] => {
    if (layer instanceof StackedLinear && !layer.stacked) {
      const pieces = layer.names.map((name, i) => ({module: `${prefix}.${name}`, rows: layer.outDims[i] as number}));
      return [{module: prefix, layer, pieces}];
    }
    if (layer instanceof Linear) return [{module: prefix, layer, pieces: null}];
    if (layer instanceof MLP) {
      const pieces = ['gate_proj', 'up_proj'].map((child) => ({module: `${prefix}.${child}`, rows: layer.feedForwardLength}));
      return layer
        .projections()
        .map(([child, l]) => ({module: `${prefix}.${child}`, layer: l, pieces: l === layer.gateUp ? pieces : null}));
    }
    const received = (layer as object | null)?.constructor?.name ?? layer;
    throw new ArgumentError({where: `saveSafetensors: '${prefix}'`, expected: 'a Linear or an MLP', received});
  });
}

function valuesOf(layer: Linear): Values {
  const {weight, inputScale} = layer;
  const scale = inputScale === null ? null : (inputScale.dataSync()[0] as number);
  const rest = {bias: layer.bias === null ? null : Float32Array.from(layer.bias.dataSync()), inputScale: scale};
  if (weight instanceof ShardedWeight) return {...weight.toRecord(), ...rest};
  return {...recordOf(weight, (weight instanceof DenseWeight ? weight.tensor : weight.words).dataSync()), ...rest};
}

async function valuesOfAsync(layer: Linear): Promise<Values> {
  const {weight, inputScale} = layer;
  const {bias} = layer;
  const scale = inputScale === null ? null : ((await inputScale.data())[0] as number);
  const rest = {bias: bias === null ? null : Float32Array.from(await bias.data()), inputScale: scale};
  if (weight instanceof ShardedWeight) return {...(await weight.toRecordAsync()), ...rest};
  return {...recordOf(weight, await (weight instanceof DenseWeight ? weight.tensor : weight.words).data()), ...rest};
}

function partsOf(entries: readonly (Entry & {values: Values})[]): Part[] {
  return entries.flatMap(({module, layer, pieces, values}): Part[] => {
    const {origin} = layer;
    const {layout, words, bias} = values;
    const only = origin?.parts.length === 1 && origin.parts[0]?.rows === layout.outDim ? origin.parts[0] : null;
    const input = schemeOfLayer(layer, values.inputScale, module);
    const whole: Part = {module, layout, words, bias, origin: only, quantization: origin?.quantization ?? null, input};
    if (pieces === null) return [whole];
    let begin = 0;
    return pieces.map((piece, i) => {
      const part = rowsOf(whole, origin, piece.module, begin, piece.rows, i);
      begin += piece.rows;
      return part;
    });
  });
}

/** Rows of a stacked weight as the module they were. */
function rowsOf(whole: Part, origin: LayerOrigin | null, module: string, begin: number, rows: number, index: number): Part {
  const cut = sliceWords(whole.layout, whole.words, [begin, begin + rows], [0, whole.layout.inDim]);
  const part = origin?.parts[index];
  return {...whole, ...cut, module, bias: whole.bias?.slice(begin, begin + rows) ?? null, origin: part?.rows === rows ? part : null};
}

/** How x is rounded, in the words of a checkpoint. */
function schemeOfLayer(layer: Linear, inputScale: number | null, module: string): InputScheme | null {
  const q: InputQuantization | null = layer.inputQuantization;
  if (q === null) return null;
  const {granularity, block, scale, ...rest} = q;
  const name = granularity === 'tensor' ? 'tensor' : granularity === 'colwise' ? 'token' : granularity === 'block' ? 'group' : null;
  const value = typeof scale === 'number' ? scale : inputScale;
  if (name === null || (typeof scale === 'object' && scale.size !== 1)) {
    throw new UnsupportedError({
      where: `saveSafetensors: '${module}': rounding of x`,
      expected: 'scales by tensor, token or group, a static one of one number',
      received: `${layer.inputQuantization?.origin} ${granularity}`,
      why: 'No layout has tensors for others.',
      remedy: 'Save the layer as a tf.js model (layer.save).',
    });
  }
  return {
    ...rest,
    granularity: name,
    ...(block === undefined ? {} : {groupSize: block}),
    ...(value === null ? {} : {scale: value}),
  } as InputScheme;
}

function write(parts: readonly Part[]): SavedFile {
  const modules = parts.map((part) => {
    const {lowered, needs} = loweredOf(part);
    return {part, needs, tensors: formatNamed(FORMATS, lowered.origin.format).raise(lowered)};
  });
  const quantization = configOfModules(modules.map((m) => m.needs));
  const tensors: SafetensorsTensor[] = [];
  for (const {part, tensors: own} of modules) {
    readBack(part, own, quantization);
    for (const [name, t] of own)
      tensors.push({name: `${part.module}.${name}`, dtype: t.dtype as SafetensorsDtype, shape: t.shape, data: t.data});
  }
  return {bytes: writeSafetensors(tensors, {format: 'pt'}), config: quantization === null ? {} : {quantization_config: quantization}};
}

function loweredOf(part: Part): {lowered: Lowered; needs: ConfigNeeds} {
  const {module, layout, words, origin, quantization, input} = part;
  // ggml's blocks have no safetensors layout, but some are what other layouts hold as well.
  if (origin !== null && origin.origin.format !== 'gguf') {
    const came = origin.origin.format === 'dense' ? undefined : quantization;
    const lowered = {layout, words, bias: biasTensor(part.bias, origin.biasType), inputScheme: null, origin: origin.origin};
    return {lowered, needs: {module, came, entry: null}};
  }
  const standard = standardLayout(layout, input, `saveSafetensors: '${module}'`);
  const lowered = {layout, words, bias: biasTensor(part.bias, 'F32'), inputScheme: null, origin: standard.origin};
  return {lowered, needs: {module, came: standard.config, entry: standard.entry}};
}

/** In the file's own dtype where that has the numbers: a bias may have been trained since. */
function biasTensor(bias: Float32Array | null, dtype: string | null): FileTensor | null {
  if (bias === null) return null;
  if (dtype === 'F16' || dtype === 'BF16') {
    const codes = Uint16Array.from(bias, dtype === 'BF16' ? toBfloat16 : (v) => encodeFloat('float16', v));
    const tensor = fileTensor(dtype, [bias.length], codes);
    if (toFloat32(dtype, tensor.data, 'bias')?.every((v, i) => Object.is(v, bias[i])) === true) return tensor;
  }
  return fileTensor('F32', [bias.length], bias);
}

/** Throws UnsupportedError unless the written tensors under the written config are the same record. */
function readBack(part: Part, tensors: ReadonlyMap<string, FileTensor>, quantization: Readonly<Record<string, unknown>> | null): void {
  const module = {module: part.module, container: 'safetensors' as const, tensors, quantization};
  const format = findFormat(FORMATS, module);
  format.validate(module);
  const {layout, words} = format.lower(module);
  if (same(plainGrids(layout), plainGrids(part.layout)) && words.length === part.words.length && words.every((w, i) => w === part.words[i]))
    return;
  throw new UnsupportedError({
    where: `saveSafetensors: '${part.module}'`,
    expected: 'a record that reads back as it was',
    received: `one that '${format.name}' reads back otherwise`,
    remedy: 'Save the layer as a tf.js model (layer.save).',
  });
}

/** A grid of a cut may still say how large its blocks were in the whole. */
function plainGrids(layout: WeightLayout): WeightLayout {
  const {outDim, inDim} = layout;
  return withGrids(layout, (g) => ({...g, rows: Math.min(g.rows, outDim), columns: Math.min(g.columns, inDim)}));
}

function same(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b);
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
  );
}
