/** For the public bugs of GPU kernels: the same product on every backend there is here, against float64 sums. */
import * as tf from '@tensorflow/tfjs';
import {type Activation, ops, QuantizedWeight} from '../../src/index.js';
import type {NamedWeight} from '../grid/layouts.js';
import {onEachBackend} from './backends.js';
import {IN_BROWSER} from './environment.js';
import {rowErrors} from './errors.js';
import {productOf, unpacked} from './reference.js';
import {registerWebGPU} from './webgpu.js';

export const GPU_BACKENDS: readonly string[] = IN_BROWSER ? ['webgl', 'webgpu'] : ['webgpu'];
export const ALL_BACKENDS: readonly string[] = ['cpu', 'wasm', ...GPU_BACKENDS];

/** onEachBackend, over the GPU's backends or all of them. */
export function onBackends(names: readonly string[], define: (backend: string) => void): void {
  describe(names.join(', '), () => {
    beforeAll(registerWebGPU);
    onEachBackend(define, names);
  });
}

export interface ProductOptions {
  bias?: Float32Array;
  activation?: Activation | null;
  /** Shape of x; default [M, K]. */
  shape?: number[];
}

/** y of the current backend, and the largest error of its rows; leaves no tensor. */
export async function multiplyOnce(
  named: NamedWeight,
  values: Float32Array,
  options: ProductOptions = {},
): Promise<{y: Float32Array; shape: number[]; error: number}> {
  const {outDim: n, inDim: k} = named.layout;
  const m = values.length / k;
  const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
  const x = tf.tensor(values.slice(), options.shape ?? [m, k], 'float32');
  const bias = options.bias === undefined ? null : tf.tensor1d(options.bias.slice());
  const activation = options.activation ?? null;
  const out = ops.quantizedMatMul(x, weight, {bias, activation, inputPrecision: 'float32'});
  const y = (await out.data()) as Float32Array;
  const expected = productOf(values, unpacked(named), m, n, options.bias ?? null, activation);
  const {shape} = out;
  tf.dispose(bias === null ? [x, out] : [x, out, bias]);
  weight.dispose();
  return {y, shape, error: rowErrors(y, expected, n)};
}
