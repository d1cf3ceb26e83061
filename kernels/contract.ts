/** The public op functions: each validates once, then runs the kernel of the current backend. */
import * as tf from '@tensorflow/tfjs';
import {asFloats, checkOptions, checkTensor} from '../src/arguments.js';
import {ArgumentError, ShapeError} from '../src/errors.js';
import {ACTIVATIONS, type Activation} from './activation.js';
import {FP8_SCALED_MATMUL, type InputPrecision, QUANTIZED_MATMUL, type QuantizedMatMulAttrs} from './attributes.js';
import type {ScaledMatMulAttrs} from './fp8_matmul.js';
import {activateTensor, recordsGradients} from './gradients.js';
import {type InputQuantization, quantizeAttrs} from './input_quantization.js';
import {scaleFor} from './power_scales.js';
import {QuantizedWeight} from './quantized_weight.js';

export interface QuantizedMatMulOptions {
  /** [N] float32, added before the activation. */
  bias?: tf.Tensor | null;
  /** Applied to y. Default null: none. Throws ArgumentError for another name. */
  activation?: Activation | null;
  /** 'auto' (default): 1e-4 relative where a backend rounds x to 16-bit integers, else 1e-6. 'float32': 1e-6. */
  inputPrecision?: InputPrecision;
  /** Round x to 8 or 4 bits first, as the checkpoint's own runtime does; the result is then the product with the rounded x. Default 'none'. */
  inputQuantization?: InputQuantization | 'none' | null;
  /** With inputQuantization: round y to bfloat16 (held as float32). Default false. */
  bfloat16Output?: boolean;
}

export const PRODUCT_OPTIONS = ['bias', 'activation', 'inputPrecision', 'inputQuantization', 'bfloat16Output'];

/**
 * act(x . W^T + bias) with W packed.
 * @param x float32 [..., K], any rank from 1
 * @param weight N x K
 * @returns float32 [..., N]
 * Error, 2-norm of each row: at most 1e-6 with float32 activations, 1e-4 with 16-bit integers (wasm, inputPrecision 'auto').
 * Throws ShapeError where K or the bias does not fit, ArgumentError for an unknown activation or option.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 2, outDim: 1, dtype: 'bfloat16'});
 * layer.loadStateDict({weight: tf.tensor2d([[3, -4]])});
 * tfl.ops.quantizedMatMul(tf.ones([1, 2]), layer.weight, {activation: 'relu'}).print(); // [[0]]
 * ```
 */
export function quantizedMatMul(x: tf.Tensor, weight: QuantizedWeight, options: QuantizedMatMulOptions = {}): tf.Tensor {
  const where = 'quantizedMatMul';
  checkOptions(where, options, PRODUCT_OPTIONS);
  checkProduct(where, x, weight, options);
  const bias = options.bias ?? null;
  const activation = options.activation ?? null;
  const [n, k] = weight.shape;
  const q = options.inputQuantization;
  const quantize = isNone(q) ? null : quantizeAttrs(q, true);
  const outShape = [...x.shape.slice(0, -1), n];
  return tf.tidy(() => {
    const m = k === 0 ? x.shape.slice(0, -1).reduce((a, b) => a * b, 1) : x.size / k;
    if (m === 0 || n === 0) return tf.zeros(outShape);
    if (k === 0) return emptySum(outShape, bias === null ? null : asFloats(bias), activation);
    const apart = activation !== null && recordsGradients();
    const attrs: QuantizedMatMulAttrs = {
      layout: weight.layout,
      rowStart: weight.rowStart,
      rowEnd: weight.rowEnd,
      activation: apart ? null : activation,
      inputPrecision: options.inputPrecision ?? 'auto',
    };
    const rows = x.rank === 2 ? x : tf.reshape(x, [m, k]);
    const inputs: tf.NamedTensorMap = {x: asFloats(rows), words: weight.words};
    if (bias !== null) inputs.bias = asFloats(bias);
    let y =
      quantize === null
        ? (tf.engine().runKernel(QUANTIZED_MATMUL, inputs, attrs as unknown as tf.NamedAttrMap) as tf.Tensor)
        : scaled(inputs, q as InputQuantization, {...attrs, quantize, bfloat16Output: options.bfloat16Output ?? false});
    if (apart) y = activateTensor(activation as Activation, y);
    return x.rank === 2 ? y : tf.reshape(y, outShape);
  });
}

/** Throws ArgumentError or ShapeError unless x [..., K], the weight [N, K] and the bias [N] fit each other. */
export function checkProduct(where: string, x: tf.Tensor, weight: QuantizedWeight, options: QuantizedMatMulOptions): void {
  checkTensor(`${where}: x`, x);
  checkProductOf(where, x.shape, weight, options);
}

/** As `checkProduct`, of an x of a shape. */
export function checkProductOf(
  where: string,
  shape: readonly number[],
  weight: QuantizedWeight,
  {bias, activation, inputPrecision}: QuantizedMatMulOptions,
): void {
  checkWeight(weight, where);
  const [n, k] = weight.shape;
  weight.checkLive(where);
  if (shape.length < 1 || shape[shape.length - 1] !== k) {
    throw new ShapeError({where: `${where}: x`, expected: `[..., ${k}] for a [${n}, ${k}] weight`, received: `[${shape}]`});
  }
  if (bias !== undefined && bias !== null) {
    checkTensor(`${where}: bias`, bias);
    if (bias.rank !== 1 || bias.shape[0] !== n)
      throw new ShapeError({where: `${where}: bias`, expected: `[${n}]`, received: `[${bias.shape}]`});
  }
  checkActivation(activation ?? null, where);
  checkPrecision(`${where}: inputPrecision`, inputPrecision);
}

export function isNone(q: InputQuantization | 'none' | null | undefined): q is 'none' | null | undefined {
  return q === undefined || q === null || q === 'none';
}

function scaled(inputs: tf.NamedTensorMap, q: InputQuantization, attrs: ScaledMatMulAttrs): tf.Tensor {
  const scale = scaleFor(q, inputs.x as tf.Tensor2D);
  const all: tf.NamedTensorMap = scale === null ? inputs : {...inputs, scale};
  return tf.engine().runKernel(FP8_SCALED_MATMUL, all, attrs as unknown as tf.NamedAttrMap);
}

/** A sum over no columns: the bias alone. */
function emptySum(outShape: number[], bias: tf.Tensor | null, activation: Activation | null): tf.Tensor {
  const y = bias === null ? tf.zeros(outShape) : tf.broadcastTo(bias, outShape);
  return activation === null ? y : activateTensor(activation, y);
}

/**
 * The weight as float32: all of it [N, K], or chosen rows (int32 of any shape [...]) as [..., K].
 * Exact: bit-equal to the producing tool's own decoder.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 2, outDim: 1, dtype: 'bfloat16'});
 * layer.loadStateDict({weight: tf.tensor2d([[3, -4]])});
 * tfl.ops.unpackWeight(layer.weight).print(); // [[3, -4]]
 * ```
 */
export function unpackWeight(weight: QuantizedWeight, rows?: tf.Tensor | readonly number[]): tf.Tensor {
  checkWeight(weight, 'unpackWeight');
  return rows === undefined ? weight.dequantize() : weight.dequantizeRows(rows);
}

/** Throws ArgumentError unless `weight` is a packed one. */
export function checkWeight(weight: QuantizedWeight, where: string): void {
  if (weight instanceof QuantizedWeight) return;
  throw new ArgumentError({
    where: `${where}: weight`,
    expected: 'a QuantizedWeight, as layer.weight of a packed layer',
    received: (weight as object | null)?.constructor?.name ?? weight,
    remedy: 'For a float32 weight use the layer itself, or tf.matMul.',
  });
}

/** Throws ArgumentError unless it is left out, 'auto' or 'float32'. */
export function checkPrecision(where: string, precision: InputPrecision | null | undefined): void {
  if (precision === undefined || precision === null || precision === 'auto' || precision === 'float32') return;
  throw new ArgumentError({where, expected: "'auto' or 'float32'", received: precision});
}

/** Throws ArgumentError unless `activation` is null or one we fuse. */
export function checkActivation(activation: Activation | null | undefined, where: string, option = 'activation'): void {
  if (activation === null || ACTIVATIONS.includes(activation as Activation)) return;
  throw new ArgumentError({
    where: `${where}: ${option}`,
    expected: `one of ${ACTIVATIONS.join(', ')}, or null`,
    received: activation,
  });
}
