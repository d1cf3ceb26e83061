/** Loading values into a layer: everything is checked before anything changes. */
import * as tf from '@tensorflow/tfjs';
import {encodeFloat, toBfloat16} from '../../kernels/float_codes.js';
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {asFloats, checkBoolean, checkObject, checkOptions, checkTensor} from '../arguments.js';
import type {QuantizationEncoding} from '../config/encoding.js';
import {didYouMean, MissingError, ShapeError, UnsupportedError, UnusedTensorError} from '../errors.js';
import {lowerBlockState} from '../formats/state_dict.js';
import {float8Words} from './float8.js';
import type {Linear} from './linear.js';
import type {LinearCore} from './linear_core.js';
import type {LayerOrigin} from './origin.js';

/** What a state dict is an object of. */
export const STATE = 'tensors by state key';

export type StateDict = {readonly [key: string]: tf.Tensor};

/** By local name. */
type StateMap = ReadonlyMap<string, tf.Tensor>;

/** Throws MissingError or UnusedTensorError unless `dict` has all `keys`, and no others where `strict`. */
export function checkKeys(dict: StateDict, keys: readonly string[], strict: boolean, where: string): void {
  checkObject(where, dict, STATE);
  for (const key of keys) {
    if (dict[key] === undefined) {
      throw new MissingError({
        where,
        expected: `a value for '${key}'`,
        received: Object.keys(dict).join(', ') || 'an empty dict',
        remedy: didYouMean(
          key,
          Object.keys(dict).filter((other) => !keys.includes(other)),
        ).trim(),
      });
    }
    checkTensor(`${where}: ${key}`, dict[key]);
  }
  const extra = Object.keys(dict).filter((key) => !keys.includes(key));
  if (strict && extra.length > 0) {
    throw new UnusedTensorError({
      where,
      expected: keys.length > 0 ? `only ${keys.join(', ')}` : 'none',
      received: extra.join(', '),
      remedy: 'Pass {strict: false} to ignore them.',
    });
  }
}

/** The option `strict` of loadStateDict. Throws ArgumentError for another option. */
export function strictOf(options: {readonly strict?: boolean}, where: string): boolean {
  checkOptions(`${where}: loadStateDict`, options, ['strict']);
  checkBoolean(`${where}: loadStateDict: strict`, options.strict);
  return options.strict ?? true;
}

export function checkShape(t: tf.Tensor, shape: readonly number[], where: string): void {
  if (t.rank === shape.length && t.shape.every((d, i) => d === shape[i])) return;
  throw new ShapeError({where, expected: `[${shape}]`, received: `[${t.shape}]`});
}

/** Values that passed every check. One of the two must be called, once. */
export interface PreparedState {
  /** Writes the values into the layer. */
  commit(): void;
  /** Forgets them. */
  dispose(): void;
}

/** Throws with nothing changed and no tensor left. */
export function prepareLinearState(layer: Linear, core: LinearCore, dict: StateDict, strict: boolean): PreparedState {
  const {encoding} = core.config;
  if (encoding !== null && encoding !== 'GPTQ' && dict[`${layer.keyPrefix}weight`]?.rank === 2) {
    return prepareRecord(layer, core, dict, strict, (tensors) => blockRecord(layer, tensors, encoding, strict));
  }
  const [weightKey, biasKey, scaleKey, inputKey] = ['weight', 'bias', 'weight_scale', 'input_scale'].map(
    (key) => layer.keyPrefix + key,
  ) as [string, string, string, string];
  const float8 = core.config.float8;
  // Packed words carry their scales; numbers or codes [N, K] come with them.
  const apart = float8 !== null && dict[weightKey]?.rank === 2;
  const keys = [
    weightKey,
    ...(apart ? [scaleKey] : []),
    ...(core.inputScale === null ? [] : [inputKey]),
    ...(layer.hasBias ? [biasKey] : []),
  ];
  checkKeys(dict, keys, strict, layer.name);
  const weight = dict[weightKey] as tf.Tensor;
  const bias = layer.hasBias ? (dict[biasKey] as tf.Tensor) : null;
  if (bias !== null) checkShape(bias, [layer.outDim], `${layer.name}: ${biasKey}`);
  refuseView(layer, core);
  const inputScale =
    core.inputScale === null ? null : scalarLike(dict[inputKey] as tf.Tensor, core.inputScale.shape, `${layer.name}: ${inputKey}`);
  const values = {
    weight: apart
      ? tf.tensor1d(float8Words(float8, core.config.layout as WeightLayout, weight, dict[scaleKey] as tf.Tensor, layer.name), 'int32')
      : weightValue(layer, core.config.layout, weight, weightKey),
    bias: bias === null ? null : ownFloats(bias),
    inputScale: inputScale === null ? null : tf.tidy(() => tf.reshape(asFloats(inputScale), (core.inputScale as tf.Tensor).shape)),
  };
  const dispose = () => tf.dispose(Object.values(values).filter((value) => value !== null));
  return {
    commit: () => {
      core.setWeightTensor(values.weight);
      if (values.bias !== null) core.setBias(values.bias);
      if (values.inputScale !== null) core.setInputScale(values.inputScale);
      dispose();
    },
    dispose,
  };
}

/** A packed weight on the host, and where it came from. */
export interface PackedRecord {
  readonly layout: WeightLayout;
  readonly words: Int32Array;
  readonly origin: LayerOrigin | null;
}

/**
 * As prepareLinearState, for tensors in a file's own layout: `lower` gets those of the layer by local name, without the bias.
 * The record may be of another layout than the layer's: what it is depends on the values (zero points that are all one number, an order).
 */
export function prepareRecord(
  layer: Linear,
  core: LinearCore,
  dict: StateDict,
  strict: boolean,
  lower: (tensors: StateMap) => PackedRecord,
): PreparedState {
  refuseView(layer, core);
  const {keyPrefix} = layer;
  const tensors = new Map<string, tf.Tensor>();
  const own: StateDict = Object.fromEntries(
    Object.entries(dict).filter(([key]) => key === `${keyPrefix}bias` || !key.startsWith(keyPrefix)),
  );
  for (const [key, tensor] of Object.entries(dict)) {
    if (own[key] !== undefined) continue;
    checkTensor(`${layer.name}: ${key}`, tensor);
    tensors.set(key.slice(keyPrefix.length), tensor);
  }
  checkKeys(own, layer.hasBias ? [`${keyPrefix}bias`] : [], strict, layer.name);
  const given = layer.hasBias ? (dict[`${keyPrefix}bias`] as tf.Tensor) : null;
  if (given !== null) checkShape(given, [layer.outDim], `${layer.name}: ${keyPrefix}bias`);
  const {layout, words, origin} = lower(tensors);
  const bias = given === null ? null : ownFloats(given);
  return {
    commit: () => {
      core.replaceRecord(layout, words, origin);
      if (bias !== null) core.setBias(bias);
      bias?.dispose();
    },
    dispose: () => bias?.dispose(),
  };
}

function blockRecord(layer: Linear, tensors: StateMap, encoding: string, strict: boolean): PackedRecord {
  checkKeys(Object.fromEntries(tensors), ['weight'], strict, layer.name);
  const weight = tensors.get('weight') as tf.Tensor;
  return {...lowerBlockState(weight, encoding as QuantizationEncoding, layer.outDim, layer.inDim, `${layer.name}: weight`), origin: null};
}

function refuseView(layer: Linear, core: LinearCore): void {
  if (!core.isView) return;
  throw new UnsupportedError({
    where: layer.name,
    expected: 'a layer with a weight of its own',
    received: 'a part of a stacked weight',
    remedy: 'Load the state of the whole MLP.',
  });
}

/** float32 numbers for a variable: a new tensor, the caller's to dispose. */
export function ownFloats(t: tf.Tensor): tf.Tensor {
  return tf.tidy(() => tf.clone(asFloats(t)));
}

/** A tensor of `shape`; [1] stands for []. Throws ShapeError. */
function scalarLike(t: tf.Tensor, shape: readonly number[], where: string): tf.Tensor {
  if (!(shape.length === 0 && t.rank === 1 && t.shape[0] === 1)) checkShape(t, shape, where);
  return t;
}

/** The variable's new value, checked; the caller disposes it. */
function weightValue(layer: Linear, layout: WeightLayout | null, weight: tf.Tensor, key: string): tf.Tensor {
  const where = `${layer.name}: ${key}`;
  if (layout === null) {
    checkShape(weight, [layer.outDim, layer.inDim], where);
    return ownFloats(weight);
  }
  const {length} = sectionsOf(layout);
  if (weight.rank === 1 && weight.dtype === 'int32' && weight.size === length) return weight.clone();
  const {decode} = layout;
  if (decode.kind !== 'float' || (decode.type !== 'float16' && decode.type !== 'bfloat16')) {
    throw new ShapeError({
      where,
      expected: `the packed words, int32 [${length}]`,
      received: `${weight.dtype} [${weight.shape}]`,
      remedy: 'Load the checkpoint with openCheckpoint, or pack a float model with quantizeModel.',
    });
  }
  checkShape(weight, [layer.outDim, layer.inDim], where);
  const words = words16(layout, decode.type, weight.dataSync());
  return tf.tensor1d(words, 'int32');
}

/** The words of 16-bit floats, each number rounded once. */
export function words16(layout: WeightLayout, type: 'float16' | 'bfloat16', values: ArrayLike<number>): Int32Array {
  const words = allocateWords(layout);
  const codes = Uint16Array.from(values, type === 'bfloat16' ? toBfloat16 : (v) => encodeFloat('float16', v));
  packCodes(layout, partsOf(layout, words), codes);
  return words;
}
