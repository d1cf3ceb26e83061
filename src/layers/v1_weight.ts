/** What the older layers take as a weight, as a layer's config and values. */
import * as tf from '@tensorflow/tfjs';
import type {WeightLayout} from '../../kernels/layout.js';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {sliceWords} from '../../kernels/slice.js';
import {asFloats, checkTensor} from '../arguments.js';
import type {QuantizationEncoding} from '../config/encoding.js';
import {DType} from '../dtype.js';
import {ArgumentError, ShapeError} from '../errors.js';
import {DenseWeight} from './dense_weight.js';
import type {LinearConfig} from './linear_config.js';
import {checkShape} from './state.js';
import {Weight} from './weight.js';

/** A weight [N, K]: a handle, one that a layer has, or float32 numbers. */
export type WeightValue = Weight | QuantizedWeight | DenseWeight | tf.Tensor;

/** A bias [N]. */
export type BiasValue = Weight | tf.Tensor;

/** What a layer over a weight is made from. */
export interface WeightParts {
  readonly config: Pick<LinearConfig, 'inDim' | 'outDim' | 'layout' | 'dtype' | 'hasBias'>;
  /** Writes the values into the layer's variables; they share the given tensors' data. */
  fill(setWeight: (t: tf.Tensor) => void, setBias: (t: tf.Tensor) => void): void;
}

/** Throws ShapeError for a weight that is no matrix, or a bias of another length. */
export function partsOfWeight(given: WeightValue, bias: BiasValue | null, where: string): WeightParts {
  const weight = given instanceof Weight ? given.value() : given;
  const [outDim, inDim] = shapeOf(weight, where);
  const biasTensor = bias instanceof Weight ? bias.value() : bias;
  if (biasTensor !== null) {
    checkTensor(`${where}: bias`, biasTensor as tf.Tensor);
    checkShape(biasTensor as tf.Tensor, [outDim], `${where}: bias`);
  }
  const layout = weight instanceof QuantizedWeight ? wholeLayout(weight) : null;
  return {
    config: {inDim, outDim, layout, dtype: dtypeOf(layout), hasBias: biasTensor !== null},
    fill(setWeight, setBias) {
      tf.tidy(() => {
        setWeight(weight instanceof QuantizedWeight ? ownWords(weight) : asMatrix(weight));
        if (biasTensor !== null) setBias(asFloats(biasTensor as tf.Tensor));
      });
    },
  };
}

/** The encoding of a handle's blocks, or null. */
export function encodingOf(weight: WeightValue): QuantizationEncoding | null {
  return weight instanceof Weight ? weight.quantizationEncoding : null;
}

function shapeOf(weight: QuantizedWeight | DenseWeight | tf.Tensor, where: string): [number, number] {
  const shape: readonly number[] | undefined = (weight as Partial<tf.Tensor> | null | undefined)?.shape;
  if (!Array.isArray(shape)) {
    throw new ArgumentError({where: `${where}: weight`, expected: "a tensor, a layer's weight or a Weight", received: weight});
  }
  if (weight instanceof tf.Tensor) checkTensor(`${where}: weight`, weight);
  else if (weight.isDisposed) throw new ArgumentError({where: `${where}: weight`, expected: 'a live weight', received: 'a disposed one'});
  if (shape.length === 2) return [shape[0] as number, shape[1] as number];
  throw new ShapeError({where: `${where}: weight`, expected: '[outDim, inDim]', received: `[${shape}]`});
}

function asMatrix(weight: DenseWeight | tf.Tensor): tf.Tensor {
  return asFloats(weight instanceof DenseWeight ? weight.tensor : weight);
}

const isWindow = (weight: QuantizedWeight) => weight.outDim !== weight.layout.outDim;

function wholeLayout(weight: QuantizedWeight): WeightLayout {
  return isWindow(weight) ? cutWindow(weight).layout : weight.layout;
}

function ownWords(weight: QuantizedWeight): tf.Tensor {
  return isWindow(weight) ? tf.tensor1d(cutWindow(weight).words, 'int32') : weight.words;
}

function cutWindow(weight: QuantizedWeight): {layout: WeightLayout; words: Int32Array} {
  return sliceWords(weight.layout, weight.words.dataSync() as Int32Array, [weight.rowStart, weight.rowEnd], [0, weight.inDim]);
}

function dtypeOf(layout: WeightLayout | null): DType {
  if (layout === null) return DType.float32;
  const {decode} = layout;
  return decode.kind === 'float' && (decode.type === 'float16' || decode.type === 'bfloat16') ? DType[decode.type] : DType.uint8;
}

/** Throws ShapeError unless a weight is [outFeatures, inFeatures]. */
export function checkFeatures(outDim: number, inDim: number, outFeatures: number, inFeatures: number, where: string): void {
  if (outDim === outFeatures && inDim === inFeatures) return;
  throw new ShapeError({
    where,
    expected: `a weight [outFeatures, inFeatures] = [${outFeatures}, ${inFeatures}]`,
    received: `[${outDim}, ${inDim}]`,
    why: 'A weight is [outputs, inputs].',
  });
}

/** The value under a key. Throws ArgumentError naming what there is. */
export function need<T>(dict: Readonly<Record<string, T>>, key: string, where: string): T {
  const value = dict[key];
  if (value !== undefined) return value;
  throw new ArgumentError({where: `${where}: weights`, expected: `'${key}'`, received: Object.keys(dict).join(', ') || 'nothing'});
}
