/** The older layers of MAX, which take values where the newer ones take names. Each class prints one warning and points to its successor. */
import * as tf from '@tensorflow/tfjs';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {partsOf} from '../../kernels/words.js';
import {checkObject, checkOptions, checkTensor} from '../arguments.js';
import {encodingInfo, type QuantizationEncoding} from '../config/encoding.js';
import {QuantizationConfig, type QuantizationOptions} from '../config/quantization.js';
import type {DType} from '../dtype.js';
import {ArgumentError} from '../errors.js';
import {gptqShape, lowerBlockState, lowerGptqState} from '../formats/state_dict.js';
import {fromSavedConfig, toSavedConfig} from './config.js';
import {Linear, type LinearConfig} from './linear.js';
import {type BiasValue, checkFeatures, encodingOf, need, partsOfWeight, type WeightParts, type WeightValue} from './v1_weight.js';
import {Weight} from './weight.js';

const warned = new Set<string>();

/** Once a class in the life of the page. */
export function warnDeprecated(name: string, successor: string): void {
  if (warned.has(name)) return;
  warned.add(name);
  console.warn(`tfjs-linear: ${name} is deprecated. Use ${successor}.`);
}

export interface LinearV1Config {
  /** [N, K]. Its data are shared, not copied; the caller keeps the handle. */
  weight: WeightValue;
  /** [N] */
  bias?: BiasValue | null;
  /** An explicit name also prefixes the state keys. Default: made up. */
  name?: string;
}

/** What `create` looks for a weight in: one of its own, or tensors by the names that a checkpoint has under the module. */
export type WeightSource = WeightValue | Readonly<Record<string, WeightValue>>;

export interface LinearV1CreateConfig {
  /** Not used where the weight says what it is; kept for MAX's call. */
  dtype?: DType;
  /** null: LinearV1. 'GPTQ': GPTQLinearV1 where the source has packed codes. Others: QLinearV1. */
  quantizationEncoding?: QuantizationEncoding | null;
  /** K */
  inFeatures: number;
  /** N */
  outFeatures: number;
  /** [outFeatures, inFeatures]: one weight, or tensors by their names. Throws ArgumentError where it has none. */
  weights: WeightSource;
  /** [outFeatures]. Default null: none, or the one among `weights`. */
  bias?: BiasValue | null;
  /** Needed for GPTQ's packed codes. */
  quantizationConfig?: QuantizationConfig | null;
  /** An explicit name also prefixes the state keys. Default: made up. */
  name?: string;
}

/**
 * y = x . W^T + b over values that are there already.
 * Source: MAX `max.nn.linear.LinearV1`. Differs: `create` takes features by their names and refuses a weight of another shape.
 * @deprecated Use Linear.
 *
 * ```js
 * const layer = new tfl.LinearV1({weight: tf.tensor2d([[1, 2]]), bias: tf.tensor1d([0.5])});
 * layer.forward(tf.tensor2d([[3, 4]])).print(); // [[11.5]]
 * ```
 */
export class LinearV1 extends Linear {
  static override className = 'TflLinearV1';
  /** Shards are layers of the new kind. */
  static readonly shardClass = Linear;

  constructor(config: LinearV1Config | LinearConfig) {
    if (new.target === LinearV1) warnDeprecated('LinearV1', 'Linear');
    checkObject('LinearV1', config);
    if ('weight' in config) checkOptions(config.name ?? 'LinearV1', config, ['weight', 'bias', 'name', 'encoding', 'quantizationEncoding']);
    const parts = 'weight' in config ? partsOfWeight(config.weight, config.bias ?? null, config.name ?? 'LinearV1') : null;
    super(layerConfig(config, parts));
    parts?.fill(
      (t) => this.core.setWeightTensor(t),
      (t) => this.core.setBias(t),
    );
  }

  /**
   * The older layer that suits an encoding. Throws ArgumentError where the source lacks the weight or the config, ShapeError for a weight that is not
   * [outFeatures, inFeatures].
   */
  static create(config: LinearV1CreateConfig): LinearV1 {
    checkObject('LinearV1.create', config);
    const {quantizationEncoding = null, quantizationConfig = null, inFeatures, outFeatures, name = 'LinearV1.create'} = config;
    const {weights, bias} = splitSource(config.weights, config.bias ?? null);
    const common = {bias, ...(config.name === undefined ? {} : {name: config.name})};
    const weight = () => (isSingle(weights) ? weights : need(weights, 'weight', name));
    let layer: LinearV1;
    if (quantizationEncoding === 'GPTQ' && hasPackedCodes(weights)) {
      layer = new GPTQLinearV1({weight: weights as GptqSource, quantizationConfig, quantizationEncoding, ...common});
    } else if (quantizationEncoding === null || quantizationEncoding === 'GPTQ') {
      layer = new LinearV1({weight: weight(), ...common});
    } else {
      layer = new QLinearV1({weight: weight(), quantizationEncoding, ...common});
    }
    try {
      checkFeatures(layer.outDim, layer.inDim, outFeatures, inFeatures, name);
      return layer;
    } catch (error) {
      layer.dispose();
      throw error;
    }
  }
}

export interface QLinearV1Config extends LinearV1Config {
  /** Of blocks given as bytes; a handle's own wins, as a file may mix encodings. */
  quantizationEncoding?: QuantizationEncoding | null;
}

/**
 * LinearV1 over a packed weight: one that a layer has, a handle, or the bytes of blocks as int32 [N, bytes of a row].
 * Source: MAX `max.nn.linear.QLinearV1`. Throws ArgumentError for a weight that is not packed, or bytes without an encoding.
 * @deprecated Use Linear with a quantizationEncoding.
 *
 * ```js
 * const weight = new tfl.Weight({name: 'weight', shape: [1, 32], quantizationEncoding: 'Q8_0', data: new Uint8Array(34).fill(60)});
 * const layer = new tfl.QLinearV1({weight, quantizationEncoding: 'Q4_0'});
 * layer.quantizationEncoding; // "Q8_0"
 * weight.dispose();
 * ```
 */
export class QLinearV1 extends LinearV1 {
  static override className = 'TflQLinearV1';

  constructor(config: QLinearV1Config | LinearConfig) {
    if (new.target === QLinearV1) warnDeprecated('QLinearV1', 'Linear');
    checkObject('QLinearV1', config);
    if (!('weight' in config)) {
      super(config);
      return;
    }
    const {weight, quantizationEncoding = null} = config;
    const encoding = encodingOf(weight) ?? quantizationEncoding;
    const packed = weight instanceof tf.Tensor ? fromBlocks(weight, encoding, config.name ?? 'QLinearV1') : weight;
    try {
      super(withEncoding({...config, weight: packed}, encoding));
    } finally {
      if (packed !== weight) (packed as QuantizedWeight).dispose();
    }
    if (this.core.config.layout !== null) return;
    this.dispose();
    throw new ArgumentError({where: this.name, expected: 'a packed weight', received: 'a float32 one', remedy: 'Use Linear.'});
  }

  /** Of the weight; null for a record whose encoding has no such name. */
  get quantizationEncoding(): QuantizationEncoding | null {
    return this.core.config.encoding as QuantizationEncoding | null;
  }
}

/** A packed weight, or GPTQ's tensors by the names that a file has for them. */
export type GptqSource = QuantizedWeight | Weight | Readonly<Record<string, tf.Tensor>>;

export interface GPTQLinearV1Config {
  /** [N, K]: a packed weight, or a file's tensors by their names there. */
  weight: GptqSource;
  /** [N]. Default null: none. */
  bias?: BiasValue | null;
  /** 'GPTQ' or null. */
  quantizationEncoding?: QuantizationEncoding | null;
  /** Needed for tensors of a file. */
  quantizationConfig?: QuantizationConfig | QuantizationOptions | null;
  /** int32 [K], the order of inputs by group, where the tensors have no map of groups. */
  permIdx?: tf.Tensor | null;
  /** An explicit name also prefixes the state keys. Default: made up. */
  name?: string;
}

/**
 * LinearV1 over a GPTQ weight.
 * Source: MAX `max.nn.linear.GPTQLinearV1`. Differs: any width, group and zero points; the bias is kept.
 * @deprecated Use GPTQLinear.
 *
 * ```js
 * const weight = tfl.gptqLinear({inDim: 64, outDim: 8, quantizationConfig: {bits: 4, groupSize: 32, sym: true}}).weight;
 * const layer = new tfl.GPTQLinearV1({weight});
 * layer.permIdx; // null
 * ```
 */
export class GPTQLinearV1 extends QLinearV1 {
  static override className = 'TflGPTQLinearV1';
  readonly quantizationConfig: QuantizationConfig | null;

  constructor(config: GPTQLinearV1Config | (LinearConfig & {quantizationConfig?: QuantizationOptions | null})) {
    warnDeprecated('GPTQLinearV1', 'GPTQLinear');
    checkObject('GPTQLinearV1', config);
    const given = config.quantizationConfig ?? null;
    const quantizationConfig = given === null || given instanceof QuantizationConfig ? given : new QuantizationConfig(given);
    if ('weight' in config) {
      const {weight, permIdx = null, bias = null, name} = config;
      const ready = weight instanceof QuantizedWeight || weight instanceof Weight;
      if (ready && permIdx !== null) {
        const expected = 'none beside a weight that is packed already: it has its order';
        throw new ArgumentError({where: `${name ?? 'GPTQLinearV1'}: permIdx`, expected, received: permIdx});
      }
      const packed = ready ? weight : fromTensors(weight, quantizationConfig, permIdx, name ?? 'GPTQLinearV1');
      try {
        super({weight: packed, bias, quantizationEncoding: 'GPTQ', ...(name === undefined ? {} : {name})});
      } finally {
        if (!ready) packed.dispose();
      }
    } else {
      const {quantizationConfig: _given, ...rest} = config as LinearConfig & {quantizationConfig?: unknown};
      super(rest);
    }
    this.quantizationConfig = quantizationConfig;
  }

  /** The order of inputs by group, int32 [K]; null without one. */
  get permIdx(): Int32Array | null {
    const {layout} = this.core.config;
    if (layout === null || !layout.ordered) return null;
    const words = (this.weight as QuantizedWeight).words.dataSync() as Int32Array;
    return Int32Array.from(partsOf(layout, words).order);
  }

  override getConfig(): tf.serialization.ConfigDict {
    const {quantizationConfig} = this;
    return toSavedConfig({
      ...fromSavedConfig<LinearConfig>(super.getConfig()),
      quantizationConfig: quantizationConfig === null ? null : {...quantizationConfig},
    });
  }
}

function isSingle(weights: WeightSource): weights is WeightValue {
  checkObject('LinearV1.create: weights', weights);
  return weights instanceof tf.Tensor || weights instanceof QuantizedWeight || weights instanceof Weight || 'dequantize' in weights;
}

/** A bias among the tensors is the layer's, unless one is given apart. */
function splitSource(source: WeightSource, given: BiasValue | null): {weights: WeightSource; bias: BiasValue | null} {
  if (isSingle(source)) return {weights: source, bias: given};
  const {bias = null, ...weights} = source as Readonly<Record<string, WeightValue>> & {bias?: BiasValue};
  return {weights, bias: given ?? bias};
}

function hasPackedCodes(weights: WeightSource): boolean {
  if (isSingle(weights)) return weights instanceof QuantizedWeight;
  const tensors = Object.entries(weights).filter((entry): entry is [string, tf.Tensor] => entry[1] instanceof tf.Tensor);
  return gptqShape(new Map(tensors), 4) !== null;
}

/** Those that are given. Throws ArgumentError for what is no tensor. */
function tensorsOf(dict: Readonly<Record<string, unknown>>, where: string): Map<string, tf.Tensor> {
  checkObject(`${where}: weight`, dict, 'tensors by their names in a file');
  const given = Object.entries(dict).filter(([, value]) => (value ?? null) !== null) as [string, tf.Tensor][];
  for (const [name, tensor] of given) checkTensor(`${where}: ${name}`, tensor);
  return new Map(given);
}

function layerConfig(config: (LinearV1Config & {encoding?: string | null}) | LinearConfig, parts: WeightParts | null): LinearConfig {
  if (parts === null) return config as LinearConfig;
  const {name, encoding = null} = config as LinearV1Config & {encoding?: string | null};
  return {...parts.config, quantizationEncoding: encoding, ...(name === undefined ? {} : {name})};
}

function withEncoding(config: LinearV1Config, encoding: QuantizationEncoding | null): LinearV1Config & {encoding: string | null} {
  return {...config, encoding};
}

function fromBlocks(blocks: tf.Tensor, encoding: QuantizationEncoding | null, where: string): QuantizedWeight {
  if (encoding === null || encoding === 'GPTQ') {
    throw new ArgumentError({where: `${where}: quantizationEncoding`, expected: 'the encoding of the blocks', received: encoding});
  }
  checkTensor(`${where}: weight`, blocks);
  const {elementsPerBlock, bytesPerBlock} = encodingInfo(encoding);
  const [outDim = 0, rowBytes = 0] = blocks.shape;
  const inDim = (rowBytes / (bytesPerBlock as number)) * (elementsPerBlock as number);
  const {layout, words} = lowerBlockState(blocks, encoding, outDim, inDim, `${where}: weight`);
  return QuantizedWeight.fromWords(layout, words);
}

function fromTensors(
  dict: Readonly<Record<string, tf.Tensor>>,
  config: QuantizationConfig | null,
  permIdx: tf.Tensor | null,
  where: string,
): QuantizedWeight {
  if (config === null) {
    throw new ArgumentError({where: `${where}: quantizationConfig`, expected: 'a QuantizationConfig', received: 'none'});
  }
  const tensors = tensorsOf(permIdx === null ? dict : {...dict, perm_idx: permIdx}, where);
  const shape = gptqShape(tensors, config.bits);
  if (shape === null)
    throw new ArgumentError({where: `${where}: weight`, expected: 'packed codes', received: Object.keys(dict).join(', ') || 'nothing'});
  const {layout, words} = lowerGptqState(tensors, config, 'gptq', shape, where, true).lowered;
  return QuantizedWeight.fromWords(layout, words);
}

for (const cls of [LinearV1, QLinearV1, GPTQLinearV1]) {
  tf.serialization.registerClass(cls as unknown as tf.serialization.SerializableConstructor<Linear>);
}
