/** What the op layer inside Linear is made of. */
import type * as tf from '@tensorflow/tfjs';
import type {InputPrecision} from '../../kernels/attributes.js';
import type {InputQuantization} from '../../kernels/input_quantization.js';
import type {WeightLayout} from '../../kernels/layout.js';
import type {QuantizedWeight} from '../../kernels/quantized_weight.js';
import type {Float8Config} from '../config/float8.js';
import type {DeviceRef} from '../device.js';
import type {ShardedWeight} from '../sharding/sharded_weight.js';
import type {DenseWeight} from './dense_weight.js';
import type {LayerOrigin} from './origin.js';
import type {OutputActivation} from './output_activation.js';

export interface CoreConfig {
  name: string;
  inDim: number;
  outDim: number;
  hasBias: boolean;
  /** null: a float32 weight that trains. */
  layout: WeightLayout | null;
  device: DeviceRef | null;
  clipWeight: number | null;
  inputPrecision: InputPrecision;
  /** How x is rounded; with a `scaleShape` the scale is a variable, not here. */
  inputQuantization: InputQuantization | null;
  /** Shape of the static scale of x where that is a weight of the layer, else null. */
  scaleShape: readonly number[] | null;
  /** What the weight's scales are, and the rounding of x unless another was given. */
  float8: Float8Config | null;
  activation: OutputActivation | null;
  /** The quantizationEncoding that `layout` was made for, or null. */
  encoding: string | null;
  origin: LayerOrigin | null;
  trainable: boolean;
  /** Values to begin with; zeros (packed) or Glorot uniform (dense) without. */
  words?: Int32Array;
  /** In their place: packed words that are on the device already, taken over. */
  packed?: tf.Tensor;
  bias?: Float32Array;
  /** Values of the scale; ones without. A tensor is copied. */
  inputScale?: Float32Array | tf.Tensor;
  /** A window on what another layer owns, its rows from `begin`: this layer then has no variables. */
  view?: {of: {readonly weight: LayerWeight; readonly bias: tf.Tensor1D | null; readonly inputScale?: tf.Tensor | null}; begin: number};
  /** The weight lies on several devices: this layer then has no variables of its own. */
  spread?: ShardedWeight;
}

/** What a layer holds: packed, float32, or either on several devices. */
export type LayerWeight = QuantizedWeight | DenseWeight | ShardedWeight;
