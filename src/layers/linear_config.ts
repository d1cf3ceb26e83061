/** The arguments of Linear, and what they come to. */
import type * as tf from '@tensorflow/tfjs';
import type {InputPrecision} from '../../kernels/attributes.js';
import {checkLayout} from '../../kernels/check_layout.js';
import {checkPrecision} from '../../kernels/contract.js';
import type {InputQuantization} from '../../kernels/input_quantization.js';
import {floatLayout, type WeightLayout} from '../../kernels/layout.js';
import {checkBoolean, checkDim, checkName, checkOptions} from '../arguments.js';
import {Float8Config, type Float8ConfigFields} from '../config/float8.js';
import {type DeviceRef, deviceOf} from '../device.js';
import {checkDenseDType, DType} from '../dtype.js';
import {ArgumentError} from '../errors.js';
import {checkOrigin, emptyLayout} from './allocate.js';
import {fromSavedConfig} from './config.js';
import type {CoreConfig} from './core_config.js';
import {float8Layout} from './float8.js';
import {resolveInput} from './input_scale.js';
import type {LinearCore} from './linear_core.js';
import type {LayerOrigin} from './origin.js';
import {outputActivation} from './output_activation.js';

export interface LinearConfig {
  /** K, the last dimension of x. */
  inDim: number;
  /** N, the last dimension of y. */
  outDim: number;
  /** float32 (trains), float16 or bfloat16 (16 bits in memory, frozen). Default float32. Ignored where `layout` is given. */
  dtype?: DType;
  /** Default: the current backend at each call. */
  device?: DeviceRef | string | null;
  /** Default false. */
  hasBias?: boolean;
  /** A packed layout to allocate: 'Q4_0', 'Q4_K', 'GPTQ' ... Default none. */
  quantizationEncoding?: string | null;
  /** Weights are clamped to [-clipWeight, clipWeight] in the forward pass, NaN to -clipWeight. null and 0: off. Negative: refused. */
  clipWeight?: number | null;
  /** 'auto' or 'float32'; see InputPrecision. */
  inputPrecision?: InputPrecision;
  /**
   * Rounding of x before the product. Default: 'none', or what float8Config says. A static scale that is a tensor is copied and becomes a weight of
   * the layer: state key `input_scale`.
   */
  inputQuantization?: InputQuantization | 'none' | null;
  /** Shape of the weight `input_scale` of a static inputQuantization, in place of the scale itself. Set by `getConfig`. */
  inputScaleShape?: readonly number[] | null;
  /** 8-bit float weights and activations. State keys: weight, weight_scale, and input_scale where it is static. */
  float8Config?: Float8Config | Float8ConfigFields | null;
  /** A tf.js activation applied to y, as `activation` of `tf.layers.dense`: 'relu', 'softmax' ... Default none. */
  activation?: string | null;
  /** An explicit name also prefixes the state keys: `name.weight`. */
  name?: string;
  /** The name was made up by the layer: state keys go without it. Set by `getConfig`. */
  autoNamed?: boolean;
  /** Whether float32 weights and the bias train; packed weights never do. Default true. */
  trainable?: boolean;
  /** The packed record to allocate. A loaded or saved packed layer has it in its config. */
  layout?: WeightLayout | null;
  /** Where the packed record came from, for saveSafetensors. Set by the loader. */
  origin?: LayerOrigin | null;
}

/** Every key of LinearConfig: the compiler asks for a new one here. */
const KEYS: Readonly<Record<keyof LinearConfig, true>> = {
  inDim: true,
  outDim: true,
  dtype: true,
  device: true,
  hasBias: true,
  quantizationEncoding: true,
  clipWeight: true,
  inputPrecision: true,
  inputQuantization: true,
  inputScaleShape: true,
  float8Config: true,
  activation: true,
  name: true,
  autoNamed: true,
  trainable: true,
  layout: true,
  origin: true,
};
/** `saved` comes with what getConfig gives. */
const OPTIONS = [...Object.keys(KEYS), 'saved'];
/** A GPTQLinear's config makes a Linear too: its layout says all that these do. */
const WITH_LAYOUT = [...OPTIONS, 'quantizationConfig', 'checkpointFormat'];

/** The config of a layer as that of a Linear: what its own class adds is left out. */
export function linearConfigOf(layer: Pick<tf.LayersModel, 'getConfig'>): LinearConfig {
  const config = fromSavedConfig<LinearConfig>(layer.getConfig());
  return Object.fromEntries(Object.entries(config).filter(([key]) => key in KEYS)) as unknown as LinearConfig;
}

/** Values for a new layer: taken over, not copied. Internal. */
export interface LinearInit {
  words?: Int32Array;
  packed?: tf.Tensor;
  bias?: Float32Array;
  inputScale?: Float32Array | tf.Tensor;
  view?: NonNullable<CoreConfig['view']>;
  /** In place of one weight on one device. */
  makeCore?: (config: CoreConfig) => LinearCore;
}

const counters = new Map<string, number>();

/** 'linear_1', 'linear_2' ... for layers without a name. */
export function autoName(prefix: string): string {
  const next = (counters.get(prefix) ?? 0) + 1;
  counters.set(prefix, next);
  return `${prefix}_${next}`;
}

/** Checks the arguments and fills in defaults. Throws ArgumentError, UnsupportedError; allocates nothing. */
export function resolveLinear(config: LinearConfig, init: LinearInit): {name: string; dtype: DType; core: CoreConfig} {
  checkOptions(config?.name ?? 'Linear', config, config?.layout ? WITH_LAYOUT : OPTIONS);
  checkName(config.name, 'Linear');
  const name = config.name ?? autoName('linear');
  // A shard may be empty.
  const inDim = checkDim(config.inDim, 'inDim', name, init.words === undefined ? 1 : 0);
  const outDim = checkDim(config.outDim, 'outDim', name, 0);
  const hasBias = config.hasBias ?? false;
  checkBoolean(`${name}: hasBias`, hasBias);
  checkBoolean(`${name}: trainable`, config.trainable);
  checkPrecision(`${name}: inputPrecision`, config.inputPrecision);
  const clip = config.clipWeight ?? null;
  if (clip !== null && !(typeof clip === 'number' && clip >= 0)) {
    throw new ArgumentError({
      where: `${name}: clipWeight`,
      expected: 'a number of at least 0, or null',
      received: clip,
      why: 'A negative bound would turn every weight into that bound.',
      remedy: 'Use null or 0 for no clipping.',
    });
  }
  const float8 = config.float8Config === undefined || config.float8Config === null ? null : asFloat8(config.float8Config);
  const {dtype, layout} = resolveLayout(config, float8, name, inDim, outDim, init.view !== undefined);
  const input = resolveInput(config.inputQuantization ?? null, config.inputScaleShape ?? null, float8, inDim, name);
  const device = deviceOf(config.device);
  return {
    name,
    dtype,
    core: {
      name: `${name}_core`,
      inDim,
      outDim,
      hasBias,
      layout,
      device,
      clipWeight: clip === 0 ? null : clip,
      inputPrecision: config.inputPrecision ?? 'auto',
      inputQuantization: input.inputQuantization,
      scaleShape: input.scaleShape,
      ...(input.scale === null ? {} : {inputScale: input.scale}),
      float8,
      activation: outputActivation(config.activation, name),
      encoding: config.quantizationEncoding ?? null,
      origin: checkOrigin(config.origin, name),
      trainable: config.trainable ?? true,
      ...init,
    },
  };
}

function asFloat8(config: Float8Config | Float8ConfigFields): Float8Config {
  return config instanceof Float8Config ? config : new Float8Config(config);
}

function resolveLayout(
  config: LinearConfig,
  float8: Float8Config | null,
  name: string,
  inDim: number,
  outDim: number,
  isView: boolean,
): {dtype: DType; layout: WeightLayout | null} {
  if (config.layout !== undefined && config.layout !== null) {
    checkLayout(`${name}: layout`, config.layout, [isView ? config.layout.outDim : outDim, inDim]);
    return {dtype: config.dtype ?? DType.uint8, layout: config.layout};
  }
  if (config.quantizationEncoding !== undefined && config.quantizationEncoding !== null) {
    return {dtype: DType.uint8, layout: emptyLayout(config.quantizationEncoding, outDim, inDim, name)};
  }
  if (float8 !== null && config.dtype?.startsWith('float8') && config.dtype !== DType.float8_e4m3fn) {
    throw new ArgumentError({
      where: `${name}: dtype`,
      expected: 'float8_e4m3fn, the type of weights under a float8Config',
      received: config.dtype,
      remedy: 'Layers from a checkpoint may be of the other types.',
    });
  }
  if (float8 !== null) return {dtype: DType.float8_e4m3fn, layout: float8Layout(float8, outDim, inDim)};
  const dtype = checkDenseDType(config.dtype ?? DType.float32, name);
  return {dtype, layout: dtype === 'float32' ? null : floatLayout(dtype, outDim, inDim)};
}
