/** Weights on the host, read from a checkpoint, as layers. */
import type * as tf from '@tensorflow/tfjs';
import type {SpareWords} from '../../kernels/spare_words.js';
import {stackingObstacle, stackRows, takeRows} from '../../kernels/take_rows.js';
import {checkArray} from '../arguments.js';
import {ArgumentError, UnsupportedError} from '../errors.js';
import type {Lowered} from '../formats/format.js';
import {GPTQLinear} from '../layers/gptq_linear.js';
import {Linear, type LinearConfig, type LinearInit} from '../layers/linear.js';
import type {LayerOrigin} from '../layers/origin.js';
import {ShardedLinear} from '../layers/sharded_linear.js';
import type {LinearOptions} from './checkpoint.js';
import {toFloat32} from './plain_floats.js';
import {inputQuantizationFrom} from './scheme.js';

/** A weight and bias on the host. */
export type HostLinear = Pick<Lowered, 'layout' | 'words' | 'inputScheme'> & {bias: Float32Array | null; origin: LayerOrigin | null};

type Quantization = LayerOrigin['quantization'];

export function hostOf(lowered: Lowered, quantization: Quantization): HostLinear {
  return {...lowered, bias: biasOf(lowered), origin: originOf([lowered], quantization)};
}

function originOf(parts: readonly Lowered[], quantization: Quantization): LayerOrigin {
  return {quantization, parts: parts.map(({layout, origin, bias}) => ({rows: layout.outDim, origin, biasType: bias?.dtype ?? null}))};
}

/** The class of a layer that is a module of the file. */
export function classOf({origin}: Lowered): typeof Linear | typeof GPTQLinear {
  return origin.format === 'gptq' ? GPTQLinear : Linear;
}

/** tensor: its words where they are on their device already; the layer takes it over. */
export function linearOf(
  host: HostLinear,
  options: Omit<LinearOptions, 'rows'>,
  cls: typeof Linear | typeof GPTQLinear,
  tensor: tf.Tensor | null = null,
): Linear {
  const {device, devices, name} = options;
  const config: LinearConfig = {...configOf(host, options, name ?? 'linear'), ...(name === undefined ? {} : {name})};
  const init = tensor === null ? initOf(host.words, host.bias) : {packed: tensor, ...(host.bias === null ? {} : {bias: host.bias})};
  if (devices === undefined) return new cls({...config, device: device ?? null}, init);
  const {strategy, home = null} = options;
  return new ShardedLinear({...config, devices, home, ...(strategy === undefined ? {} : {strategy})}, init);
}

export function configOf(
  host: HostLinear,
  options: Pick<LinearOptions, 'inputPrecision' | 'inputQuantization'>,
  where: string,
): LinearConfig {
  const {layout, bias, inputScheme, origin} = host;
  return {
    inDim: layout.inDim,
    outDim: layout.outDim,
    layout,
    origin,
    hasBias: bias !== null,
    inputPrecision: options.inputPrecision ?? 'auto',
    inputQuantization: options.inputQuantization ?? inputQuantizationFrom(inputScheme, where),
  };
}

/** Its rows in the order of the options; the words given are spare then. */
export function reordered(host: HostLinear, {rows, name = 'linear'}: LinearOptions, spare: SpareWords): HostLinear {
  if (rows === undefined) return host;
  checkArray(`${name}: rows`, rows, 'rows');
  const {layout, words, bias, inputScheme, origin} = host;
  const bad = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= layout.outDim);
  if (bad !== undefined) {
    throw new ArgumentError({where: `${name}: rows`, expected: `rows in [0, ${layout.outDim})`, received: bad});
  }
  const taken = takeRows({layout, words}, Array.from(rows), spare);
  spare.give(words);
  return {
    ...taken,
    inputScheme,
    // A file of the format holds as many rows in any order, but of other counts the details would not be true.
    origin: rows.length === layout.outDim && origin?.parts.length === 1 ? origin : null,
    bias: bias === null ? null : Float32Array.from(rows, (row) => bias[row] as number),
  };
}

export function initOf(words: Int32Array, bias: Float32Array | null): LinearInit {
  return bias === null ? {words} : {words, bias};
}

function biasOf(lowered: Lowered): Float32Array | null {
  if (lowered.bias === null) return null;
  const values = toFloat32(lowered.bias.dtype, lowered.bias.data, 'bias');
  if (values !== null) return values;
  throw new UnsupportedError({where: 'bias', expected: 'F32, F16 or BF16', received: lowered.bias.dtype});
}

/** Do layouts, or what is to happen to x, keep these from being one record? */
export function obstacle(parts: readonly Lowered[]): boolean {
  const schemes = new Set(parts.map((part) => JSON.stringify(part.inputScheme)));
  return schemes.size !== 1 || stackingObstacle(parts.map((part) => part.layout)) !== null;
}

/** Weights of one structure as one, with a bias each or none; their words are spare then. */
export function stack(parts: readonly Lowered[], quantization: Quantization, spare: SpareWords): HostLinear {
  const biases = parts.map(biasOf).filter((bias) => bias !== null);
  const stacked = stackRows(parts, spare);
  for (const {words} of parts) spare.give(words);
  return {
    ...stacked,
    inputScheme: (parts[0] as Lowered).inputScheme,
    origin: originOf(parts, quantization),
    bias: biases.length === 0 ? null : Float32Array.from(biases.flatMap((bias) => Array.from(bias))),
  };
}
