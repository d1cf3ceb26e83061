/** Every code of the small floats and of tables on webgl, wherever it stands in a word. */
import * as tf from '@tensorflow/tfjs';
import {decodeTable} from '../../kernels/float_codes.js';
import type {FloatType} from '../../kernels/layout.js';
import {chooseWebgl} from '../../kernels/webgl/choose.js';
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {positive} from '../support/numbers.js';
import {rowsOfCodes, TABLES} from '../support/tables.js';
import {describeWebgl} from '../support/webgl.js';
import {buildWeight} from './layouts.js';

describeWebgl('codes', () => {
  for (const type of ['float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz'] as FloatType[]) {
    it(`knows all 256 codes of ${type}`, async () => {
      const {layout} = buildWeight(type, {n: 256, k: 16, planes: [8], decode: {kind: 'float', type}}, 1);
      const words = allocateWords(layout);
      packCodes(
        layout,
        partsOf(layout, words),
        Uint8Array.from({length: 4096}, (_, i) => i >> 4),
      );
      const weight = QuantizedWeight.fromWords(layout, words);
      const table = decodeTable(type as 'float8_e5m2');
      const all = weight.dequantize();
      expect(positive((await all.data()) as Float32Array)).toEqual(
        Float32Array.from({length: 4096}, (_, i) => (table[i >> 4] as number) + 0),
      );
      // In a product too, where codes are decoded four at a time: a NaN or infinity stays one.
      const x = tf.ones([1, 16]) as tf.Tensor2D;
      const y = ops.quantizedMatMul(x, weight);
      expect(positive((await y.data()) as Float32Array)).toEqual(table.map((v) => v * 16 + 0));
      tf.dispose([all, x, y]);
      weight.dispose();
    });
  }

  for (const type of ['float4_e2m1fn', 'float16', 'bfloat16'] as const) {
    it(`multiplies every number of ${type}, wherever its code stands, and its infinities and NaN`, async () => {
      const table = decodeTable(type);
      const bits = Math.log2(table.length);
      const k = 16;
      // Subnormal float32 numbers may be flushed.
      const numbers = [...table.keys()].filter((c) => Math.abs(table[c] as number) >= 2 ** -126 || table[c] === 0);
      const finite = numbers.filter((c) => Number.isFinite(table[c]));
      const special = [...table.keys()].filter((c) => !Number.isFinite(table[c])).filter((_, i) => i % 100 === 0);
      const rows = Math.ceil(finite.length / k);
      const codes = [...finite, ...Array<number>(rows * k - finite.length).fill(0), ...special.flatMap((c) => Array<number>(k).fill(c))];
      const n = codes.length / k;
      const {layout} = buildWeight(type, {n, k, planes: [bits], decode: {kind: 'float', type}}, 1);
      const words = allocateWords(layout);
      packCodes(layout, partsOf(layout, words), Uint16Array.from(codes));
      const weight = QuantizedWeight.fromWords(layout, words);
      expect(chooseWebgl(layout, k, n).variant).toBe('blocks');
      const each = tf.eye(k);
      const y = ops.quantizedMatMul(each, weight);
      const got = positive((await y.data()) as Float32Array);
      for (let r = 0; r < rows; r++) {
        const row = Array.from({length: k}, (_, m) => got[m * n + r]);
        expect(row).toEqual(codes.slice(r * k, r * k + k).map((c) => (table[c] as number) + 0));
      }
      const x = tf.ones([1, k]) as tf.Tensor2D;
      const sums = ops.quantizedMatMul(x, weight);
      expect([...(await sums.data())].slice(rows)).toEqual(special.map((c) => (table[c] as number) * k));
      tf.dispose([each, y, x, sums]);
      weight.dispose();
    });
  }

  for (const [kind, table] of Object.entries(TABLES)) {
    it(`knows every code of a table ${kind}, wherever it stands`, async () => {
      const [n, k] = [16, 32];
      const weight = rowsOfCodes(table, k);
      const each = tf.eye(k);
      const y = ops.quantizedMatMul(each, weight);
      expect([...(await y.data())]).toEqual(Array.from({length: k * n}, (_, i) => table[i % n] as number));
      tf.dispose([each, y]);
      weight.dispose();
    });
  }
});
