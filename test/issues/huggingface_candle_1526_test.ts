// https://github.com/huggingface/candle/issues/1526: integers overflowed where values rise steadily.
import * as tf from '@tensorflow/tfjs';
import {ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight} from '../grid/layouts.js';
import {rowErrors} from '../support/errors.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';
import {productOf, unpacked} from '../support/reference.js';

describe('huggingface/candle#1526', () => {
  const k = 4096;
  const named = buildWeight('ramp', {n: 6, k, planes: [8], zero: 128, scales: [['float32', 1, k]]}, 23);
  const ramp = Float32Array.from({length: k}, (_, i) => i);

  async function error(quantized: boolean): Promise<number> {
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const x = tf.tensor2d(ramp.slice(), [1, k]);
    const inputQuantization = quantized ? ({dtype: 'int8', origin: 'dynamic', granularity: 'colwise'} as const) : null;
    const y = ops.quantizedMatMul(x, weight, {inputQuantization, inputPrecision: 'float32'});
    const scale = Math.fround((k - 1) / 127);
    // Ties of x / scale do not occur on this ramp.
    const rounded = quantized ? ramp.map((v) => Math.round(v / scale) * scale) : ramp;
    const largest = rowErrors(await y.data(), productOf(rounded, unpacked(named), 1, 6), 6);
    tf.dispose([x, y]);
    weight.dispose();
    return largest;
  }

  onBackends(ALL_BACKENDS, () => {
    it('a ramp 0 ... K', async () => expect(await error(false)).toBeLessThan(3e-6));
  });

  onBackends(['cpu', 'wasm'], () => {
    it('a ramp 0 ... K rounded to 8 bits', async () => expect(await error(true)).toBeLessThan(3e-6));
  });
});
