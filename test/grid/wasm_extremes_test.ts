/** Numbers at the ends of float32 in products on wasm whose codes are floats. */
import * as tf from '@tensorflow/tfjs';
import type {FloatType} from '../../kernels/layout.js';
import {partsOf} from '../../kernels/words.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {onWasm} from '../support/on_wasm.js';
import {productOf} from '../support/reference.js';
import {randomWords} from './bench_weights.js';
import {buildWeight, randomX} from './layouts.js';

const float = (type: FloatType) => ({kind: 'float', type}) as const;

describe('float codes on wasm', () => {
  const variants = onWasm();

  it('keeps infinities and NaN of float16 codes, and multiplies an x beyond 1e20', async () => {
    const {layout, words} = buildWeight('w', {n: 4, k: 32, planes: [16], decode: float('float16')}, 7);
    const codes = new Uint16Array(partsOf(layout, words).codes.buffer, partsOf(layout, words).codes.byteOffset);
    codes[5] = 0x7c00;
    codes[32 + 6] = 0xfc00;
    codes[64 + 7] = 0x7e01;
    const weight = QuantizedWeight.fromWords(layout, words);
    const ones = tf.ones([1, 32]);
    const y = ops.quantizedMatMul(ones, weight);
    const got = [...(await y.data())];
    expect(got.slice(0, 3)).toEqual([Infinity, -Infinity, NaN]);
    expect(Number.isFinite(got[3] as number)).toBeTrue();
    const large = tf.fill([1, 32], 2 ** 100);
    const z = ops.quantizedMatMul(large, weight);
    expect(((await z.data())[3] as number) / 2 ** 100).toBeCloseTo(got[3] as number, 1);
    weight.dispose();
    tf.dispose([ones, y, large, z]);
  });

  for (const type of ['float16', 'float8_e4m3fn'] as const) {
    it(`keeps the digits of an x of 1e-33 times ${type}`, async () => {
      const named = buildWeight(type, {n: 20, k: 64, planes: [type === 'float16' ? 16 : 8], decode: float(type)}, 8);
      const weight = QuantizedWeight.fromWords(named.layout, named.words);
      const x = randomX(2, 64, 9);
      const plain = tf.tensor2d(x, [2, 64]);
      const small = tf.mul(plain, 2 ** -110);
      for (const variant of ['gemv_float32', 'float32'] as const) {
        variants.force(variant);
        const [y, z] = [ops.quantizedMatMul(plain, weight), ops.quantizedMatMul(small, weight)];
        const scaled = (await z.data()).map((v) => v * 2 ** 110);
        expect(rowErrors(scaled, await y.data(), 20)).toBeLessThan(1e-6);
        tf.dispose([y, z]);
      }
      weight.dispose();
      tf.dispose([plain, small]);
    });
  }

  // Codes of ordinary size and codes half of which are subnormal are decoded by loops of their own; so is either where the other is near.
  for (const [rows, columns] of [
    [1, 384],
    [16, 128],
    [1, 128],
    [8, 32],
  ] as const) {
    it(`decodes e4m3 with a scale for ${rows} x ${columns}, with few subnormals and with many`, async () => {
      const [n, k] = [70, 384];
      const {layout} = buildWeight('e4m3', {n, k, planes: [8], decode: float('float8_e4m3fn'), scales: [['float32', rows, columns]]}, 10);
      const words = randomWords(layout);
      const codes = partsOf(layout, words).codes;
      const bytes = new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength);
      const values = randomX(1, k, 11);
      const x = tf.tensor2d(values, [1, k]);
      for (const [first, last] of [
        [0, 0],
        [40, 41],
        [0, n],
      ] as const) {
        for (let i = first * k; i < last * k; i += 2) bytes[i] = (i >> 1) & 0x87;
        const weight = QuantizedWeight.fromWords(layout, words.slice());
        const dense = weight.dequantize();
        const expected = productOf(values, (await dense.data()) as Float32Array, 1, n);
        for (const variant of ['gemv_float32', 'float32'] as const) {
          variants.force(variant);
          const y = ops.quantizedMatMul(x, weight);
          expect(rowErrors(await y.data(), expected, n))
            .withContext(`${variant}, subnormals in rows ${first} to ${last}`)
            .toBeLessThan(1e-6);
          y.dispose();
        }
        variants.force(null);
        dense.dispose();
        weight.dispose();
      }
      x.dispose();
    });
  }
});
