/**
 * A product and what surrounds it in a residual block, as one op. A backend may register a kernel of its own (FusedQuantizedMatMul: wasm and webgpu do);
 * elsewhere, and where gradients are recorded, it is a composition of our ops.
 */
import * as tf from '@tensorflow/tfjs';
import {areFloats, asFloats, checkOptions, checkTensor} from '../src/arguments.js';
import {ShapeError} from '../src/errors.js';
import type {Activation} from './activation.js';
import type {QuantizedMatMulAttrs} from './attributes.js';
import {checkActivation, checkProduct, isNone, PRODUCT_OPTIONS, type QuantizedMatMulOptions, quantizedMatMul} from './contract.js';
import {checkEpsilon, gatedActivation, hasKernel, rmsNorm} from './fused.js';
import type {QuantizedWeight} from './quantized_weight.js';

/** FusedQuantizedMatMul: as QuantizedMatMul, with inputs norm [K] or none, residual [M, N] ([M, N / 2] with a gate) or none. */
export const FUSED_MATMUL = 'FusedQuantizedMatMul';

export interface FusedMatMulAttrs extends QuantizedMatMulAttrs {
  readonly epsilon: number;
  readonly gate: Activation | null;
}

/** What surrounds a product: residual + gate(product(norm(x))). */
export interface Around {
  /** x is normalised first, as `ops.rmsNorm(x, weight, epsilon)`; weight [K]. */
  readonly norm?: {readonly weight: tf.Tensor; readonly epsilon: number} | null;
  /** y is gated, as `ops.gatedActivation(y, gate)`: act(first half) * second half. */
  readonly gate?: Activation | null;
  /** Added last: of the shape of the result. */
  readonly residual?: tf.Tensor | null;
}

export type FusedMatMulOptions = QuantizedMatMulOptions & Around;

export const AROUND_OPTIONS = ['norm', 'gate', 'residual'];

export const FUSED_OPTIONS = [...PRODUCT_OPTIONS, ...AROUND_OPTIONS];

/** `product` with what surrounds it, step by step. */
export function surround(x: tf.Tensor, {norm, gate, residual}: Around, product: (x: tf.Tensor) => tf.Tensor): tf.Tensor {
  return tf.tidy(() => {
    const y = product(norm ? rmsNorm(x, norm.weight, norm.epsilon) : x);
    const gated = gate ? gatedActivation(y, gate) : y;
    if (!residual) return gated;
    checkShape('residual', residual, gated.shape);
    return tf.add(residual, gated);
  });
}

/**
 * residual + gate(act(norm(x) . W^T + bias)) with W packed; each of norm, gate and residual may be left out. Arguments, error and what is thrown
 * as `ops.quantizedMatMul` has them; twice the error with a gate, which multiplies two results; ShapeError also where norm or residual do not fit.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 2, outDim: 1, dtype: 'bfloat16'});
 * layer.loadStateDict({weight: tf.tensor2d([[3, -4]])});
 * const norm = {weight: tf.tensor1d([1, 2]), epsilon: 0};
 * tfl.ops.fusedMatMul(tf.tensor2d([[3, 3]]), layer.weight, {norm, residual: tf.tensor2d([[7]])}).print(); // [[2]]
 * ```
 */
export function fusedMatMul(x: tf.Tensor, weight: QuantizedWeight, options: FusedMatMulOptions = {}): tf.Tensor {
  const where = 'fusedMatMul';
  checkOptions(where, options, FUSED_OPTIONS);
  const {norm, gate, residual} = options;
  if (!(norm || gate || residual)) return quantizedMatMul(x, weight, productOf(options));
  checkProduct(where, x, weight, options);
  const [n, k] = weight.shape;
  const outShape = [...x.shape.slice(0, -1), gatedWidth(where, weight, options)];
  if (residual) checkShape(`${where}: residual`, residual, outShape);
  if (x.size === 0 || n === 0 || !isNone(options.inputQuantization) || !hasKernel(FUSED_MATMUL)) {
    return surround(x, {norm, gate, residual} as Around, (rows) => quantizedMatMul(rows, weight, productOf(options)));
  }
  const run = (): tf.Tensor => {
    const attrs = fusedAttrs(weight, options);
    const inputs: tf.NamedTensorMap = {x: asFloats(x.rank === 2 ? x : tf.reshape(x, [x.size / k, k])), words: weight.words};
    if (options.bias) inputs.bias = asFloats(options.bias);
    if (norm) inputs.norm = asFloats(norm.weight);
    if (residual) inputs.residual = asFloats(residual);
    const y = tf.engine().runKernel(FUSED_MATMUL, inputs, attrs as unknown as tf.NamedAttrMap) as tf.Tensor;
    return x.rank === 2 ? y : tf.reshape(y, outShape);
  };
  return x.rank === 2 && areFloats([x, options.bias, norm?.weight, residual]) ? run() : tf.tidy(run);
}

/** The width of the result. Throws ArgumentError or ShapeError unless norm and gate fit the weight. */
export function gatedWidth(where: string, weight: QuantizedWeight, {norm, gate}: Pick<Around, 'norm' | 'gate'>): number {
  const [n, k] = weight.shape;
  checkActivation(gate ?? null, where);
  if (gate && n % 2 !== 0) throw new ShapeError({where, expected: 'an even number of outputs to gate', received: n});
  if (norm) {
    checkOptions(`${where}: norm`, norm, ['weight', 'epsilon']);
    checkShape(`${where}: norm`, norm.weight, [k]);
    checkEpsilon(`${where}: norm`, norm.epsilon);
  }
  return gate ? n / 2 : n;
}

/** What a kernel is told of a product. */
export function fusedAttrs(weight: QuantizedWeight, options: Omit<FusedMatMulOptions, 'residual'>): FusedMatMulAttrs {
  return {
    layout: weight.layout,
    rowStart: weight.rowStart,
    rowEnd: weight.rowEnd,
    activation: options.activation ?? null,
    inputPrecision: options.inputPrecision ?? 'auto',
    epsilon: options.norm?.epsilon ?? 0,
    gate: options.gate ?? null,
  };
}

function productOf({norm: _norm, gate: _gate, residual: _residual, ...product}: FusedMatMulOptions): QuantizedMatMulOptions {
  return product;
}

function checkShape(where: string, t: tf.Tensor, shape: readonly number[]): void {
  checkTensor(where, t);
  if (t.rank === shape.length && shape.every((size, i) => size === t.shape[i])) return;
  throw new ShapeError({where, expected: `[${shape}]`, received: `[${t.shape}]`});
}
