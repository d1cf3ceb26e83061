// https://github.com/antirez/ds4/issues/663: rows of several blocks wrote every block to the first 256 outputs.
import * as tf from '@tensorflow/tfjs';
import {gguf} from '../../src/formats/gguf.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {ggufModule, product, randomBlocks} from '../formats/gguf_support.js';
import {compareFloats} from '../formats/packed_support.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';

describe('antirez/ds4#663', () => {
  onEachBackend(() => {
    it('both halves of a Q6_K row of 512 are their own', async () => {
      const module = ggufModule('Q6_K', 5, 512, randomBlocks('Q6_K', 5, 512, 663));
      const reference = gguf.reference(module);
      const row = reference.subarray(0, 512);
      expect(compareFloats(row.slice(0, 256), row.slice(256))).not.toBe('equal');
      const {layout, words} = gguf.lower(module);
      const weight = QuantizedWeight.fromWords(layout, words);
      const all = weight.dequantize();
      expect(compareFloats((await all.data()) as Float32Array, reference)).toBe('equal');
      const one = weight.dequantizeRows([4]);
      expect(compareFloats((await one.data()) as Float32Array, reference.slice(4 * 512))).toBe('equal');
      // Row 0 of x sees the first block of each row only, row 1 the second only.
      const x = Float32Array.from({length: 1024}, (_, i) => (i < 256 || i >= 768 ? Math.cos(i) : 0));
      const input = tf.tensor2d(x, [2, 512]);
      const y = ops.quantizedMatMul(input, weight, {inputPrecision: 'float32'});
      expect(rowErrors(await y.data(), product(x, reference, 512), 5)).toBeLessThanOrEqual(1e-6);
      tf.dispose([all, one, input, y]);
      weight.dispose();
    });
  });
});
