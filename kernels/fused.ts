/**
 * Steps between products as one op each: act(gate) * up, and root-mean-square normalisation. A backend may register a kernel of its own
 * (GatedActivation, RmsNorm: cpu, wasm and webgpu do); elsewhere, and where gradients are recorded, they are compositions of tf.js ops.
 */
import * as tf from '@tensorflow/tfjs';
import {asFloats, checkTensor} from '../src/arguments.js';
import {ArgumentError, ShapeError} from '../src/errors.js';
import type {Activation} from './activation.js';
import {checkActivation} from './contract.js';
import {activateTensor, recordsGradients} from './gradients.js';

export const GATED_ACTIVATION = 'GatedActivation';
export const RMS_NORM = 'RmsNorm';

/** GatedActivation: x [M, 2 N] float32 -> act(x[:, :N]) * x[:, N:], [M, N]. */
export interface GatedActivationAttrs {
  readonly activation: Activation;
}

/** RmsNorm: x [M, K] float32, weight [K] -> [M, K]. */
export interface RmsNormAttrs {
  readonly epsilon: number;
}

/** Whether the current backend has a kernel of its own that may be used: those have no gradients. */
export function hasKernel(name: string): boolean {
  return tf.getKernel(name, tf.getBackend()) !== undefined && !recordsGradients();
}

function asRows(x: tf.Tensor, width: number): tf.Tensor2D {
  return (x.rank === 2 ? x : tf.reshape(x, [x.size / width, width])) as tf.Tensor2D;
}

/**
 * act(gate) * up in tf.js ops; with a limit min(act(gate), limit) * min(max(up, -limit), limit).
 * Source of the limit: MAX 26 `MLP.swiglu_limit`.
 */
export function gateTensors(activation: Activation, gate: tf.Tensor, up: tf.Tensor, limit: number | null): tf.Tensor {
  const active = activateTensor(activation, gate);
  return limit === null ? tf.mul(active, up) : tf.mul(tf.minimum(active, limit), tf.clipByValue(up, -limit, limit));
}

/**
 * act(first half) * second half over the last axis: x [..., 2 N] -> [..., N]; with a `limit`, each factor within it (see MLPConfig.swigluLimit).
 * Throws ShapeError for an odd width.
 *
 * ```js
 * tfl.ops.gatedActivation(tf.tensor2d([[2, -1, 10, 20]]), 'relu').print(); // [[20, 0]]
 * ```
 */
export function gatedActivation(x: tf.Tensor, activation: Activation, limit: number | null = null): tf.Tensor {
  checkTensor('gatedActivation: x', x);
  checkActivation(activation ?? undefined, 'gatedActivation');
  if (limit !== null && !(typeof limit === 'number' && limit > 0)) {
    throw new ArgumentError({where: 'gatedActivation: limit', expected: 'a positive number, or null', received: limit});
  }
  const width = x.shape[x.rank - 1] ?? 1;
  if (x.rank < 1 || width % 2 !== 0)
    throw new ShapeError({where: 'gatedActivation: x', expected: '[..., an even number]', received: `[${x.shape}]`});
  const outShape = [...x.shape.slice(0, -1), width / 2];
  return tf.tidy(() => {
    if (x.size === 0) return tf.zeros(outShape);
    const given = asFloats(x);
    if (limit !== null || !hasKernel(GATED_ACTIVATION)) {
      const [gate, up] = tf.split(given, 2, x.rank - 1) as [tf.Tensor, tf.Tensor];
      return gateTensors(activation, gate, up, limit);
    }
    const attrs: GatedActivationAttrs = {activation};
    const y = tf.engine().runKernel(GATED_ACTIVATION, {x: asRows(given, width)}, attrs as unknown as tf.NamedAttrMap) as tf.Tensor;
    return x.rank === 2 ? y : tf.reshape(y, outShape);
  });
}

/** Throws ArgumentError unless it is a number that a mean of squares can have added. */
export function checkEpsilon(where: string, epsilon: number): void {
  if (typeof epsilon === 'number' && epsilon >= 0) return;
  throw new ArgumentError({where: `${where}: epsilon`, expected: 'a number of at least 0', received: epsilon});
}

/**
 * x / sqrt(mean(x^2) + epsilon) * weight over the last axis: x [..., K], weight [K] -> [..., K]. Throws ShapeError.
 * Source: Zhang and Sennrich 2019, arXiv 1910.07467.
 *
 * ```js
 * tfl.ops.rmsNorm(tf.tensor2d([[3, 3]]), tf.tensor1d([1, 2]), 0).print(); // [[1, 2]]
 * ```
 */
export function rmsNorm(x: tf.Tensor, weight: tf.Tensor, epsilon: number): tf.Tensor {
  checkTensor('rmsNorm: x', x);
  checkTensor('rmsNorm: weight', weight);
  checkEpsilon('rmsNorm', epsilon);
  const width = x.shape[x.rank - 1] ?? 1;
  if (x.rank < 1 || weight.rank !== 1 || weight.shape[0] !== width) {
    throw new ShapeError({where: 'rmsNorm', expected: `x [..., K] and weight [K]`, received: `[${x.shape}] and [${weight.shape}]`});
  }
  return tf.tidy(() => {
    if (x.size === 0) return tf.zeros(x.shape);
    const [given, factors] = [asFloats(x), asFloats(weight)];
    if (!hasKernel(RMS_NORM)) {
      const mean = tf.mean(tf.square(given), -1, true);
      return tf.mul(tf.mul(given, tf.rsqrt(tf.add(mean, epsilon))), factors);
    }
    const attrs: RmsNormAttrs = {epsilon};
    const y = tf.engine().runKernel(RMS_NORM, {x: asRows(given, width), weight: factors}, attrs as unknown as tf.NamedAttrMap) as tf.Tensor;
    return x.rank === 2 ? y : tf.reshape(y, x.shape);
  });
}
