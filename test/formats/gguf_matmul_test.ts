/** GGUF weights on the backends' kernels: the fixtures, and row counts that are no multiple of 32. */
import * as tf from '@tensorflow/tfjs';
import {findFormat, type Module} from '../../src/formats/format.js';
import {gguf} from '../../src/formats/gguf.js';
import {FORMATS} from '../../src/formats/index.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {ggufCases, ggufModule, product, randomBlocks} from './gguf_support.js';
import {compareFloats} from './packed_support.js';

/** Unpacked weight and x . W^T of a module on the current backend. */
async function run(module: Module, x: Float32Array): Promise<{weight: Float32Array; y: Float32Array}> {
  const {layout, words} = findFormat(FORMATS, module).lower(module);
  const weight = QuantizedWeight.fromWords(layout, words);
  const input = tf.tensor2d(x, [x.length / layout.inDim, layout.inDim]);
  const unpacked = weight.dequantize();
  const y = ops.quantizedMatMul(input, weight, {inputPrecision: 'float32'});
  const values = {weight: (await unpacked.data()) as Float32Array, y: (await y.data()) as Float32Array};
  tf.dispose([input, unpacked, y]);
  weight.dispose();
  return values;
}

describe('gguf weights', () => {
  onEachBackend(() => {
    it('unpack to the bit and multiply as the fixtures do', async () => {
      for (const {name, module, outDim, weight, x, y} of await ggufCases()) {
        const ours = await run(module, x);
        expect(compareFloats(ours.weight, weight)).withContext(name).toBe('equal');
        expect(rowErrors(ours.y, y, outDim))
          .withContext(name)
          .toBeLessThanOrEqual(1e-6);
      }
    });

    // MAX 25.4 and 26.7 return wrong numbers for these shapes (N > 32, N % 32 != 0).
    it('of K-quants are right where N is not a multiple of 32', async () => {
      for (const type of ['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K']) {
        for (const outDim of [33, 48, 63]) {
          const module = ggufModule(type, outDim, 512, randomBlocks(type, outDim, 512, outDim));
          const x = Float32Array.from({length: 3 * 512}, (_, i) => Math.sin(i * 1.7));
          const reference = gguf.reference(module);
          const ours = await run(module, x);
          expect(compareFloats(ours.weight, reference)).withContext(`${type}, N ${outDim}`).toBe('equal');
          expect(rowErrors(ours.y, product(x, reference, 512), outDim))
            .withContext(`${type}, N ${outDim}`)
            .toBeLessThanOrEqual(1e-6);
        }
      }
    });
  });
});
