/** The arguments of MLP. */
import type * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import type {DeviceRef} from '../device.js';
import type {DType} from '../dtype.js';
import {fromSavedConfig} from './config.js';
import type {Linear} from './linear.js';
import type {LinearConfig, LinearInit} from './linear_config.js';

export type LinearClass = new (config: LinearConfig, init?: LinearInit) => Linear;

export interface MLPConfig {
  /** Of all three weights [F, H], [F, H], [H, F]; as LinearConfig has it. Default float32. */
  dtype?: DType;
  /** Of all three weights; as LinearConfig has it. Default none. */
  quantizationEncoding?: string | null;
  /** H, the last dimension of x and of y. */
  hiddenDim: number;
  /** F, the width inside. */
  feedForwardLength: number;
  /** Several: gate and up are spread over them by rows, down by columns, as in `DistributedMLP`. Default: the current backend. */
  devices?: readonly (DeviceRef | string)[];
  /** Class of the three projections, called with one LinearConfig. Its overrides of `forward` are honoured. Default Linear. A string: the name it is registered under. */
  linearCls?: LinearClass | string;
  /** All three have a bias, or none. Default false. */
  hasBias?: boolean;
  /** Default 'silu'. */
  activationFunction?: Activation;
  /** down(min(act(gate(x)), limit) * min(max(up(x), -limit), limit)). Default null: no limit. Throws ArgumentError unless positive. Source: MAX 26 `MLP.swiglu_limit`. */
  swigluLimit?: number | null;
  /** 8-bit float weights and activations of all three projections. */
  float8Config?: LinearConfig['float8Config'];
  /** An explicit name also prefixes the state keys: `name.gate_proj.weight`. Default: made up. */
  name?: string;
  /** The name was made up by the layer: state keys go without it. Set by `getConfig`. */
  autoNamed?: boolean;
  /** Whether float32 weights and biases train. Default true. */
  trainable?: boolean;
  /** Configs of the projections, as `getConfig` writes them; gate_up in place of gate_proj and up_proj where they are one record. */
  children?: Readonly<Record<string, LinearConfig>>;
}

/** Every key of MLPConfig: the compiler asks for a new one here. */
const KEYS: Readonly<Record<keyof MLPConfig, true>> = {
  dtype: true,
  quantizationEncoding: true,
  hiddenDim: true,
  feedForwardLength: true,
  devices: true,
  linearCls: true,
  hasBias: true,
  activationFunction: true,
  swigluLimit: true,
  float8Config: true,
  name: true,
  autoNamed: true,
  trainable: true,
  children: true,
};

/** The config of a layer as that of an MLP: what its own class adds is left out. */
export function mlpConfigOf(layer: Pick<tf.LayersModel, 'getConfig'>): MLPConfig {
  const config = fromSavedConfig<MLPConfig>(layer.getConfig());
  return Object.fromEntries(Object.entries(config).filter(([key]) => key in KEYS)) as unknown as MLPConfig;
}

/** `saved` comes with what getConfig gives. */
export const MLP_OPTIONS = [...Object.keys(KEYS), 'saved'];
