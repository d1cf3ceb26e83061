// https://github.com/huggingface/transformers.js/issues/734: users want to open GGUF directly.
import * as tf from '@tensorflow/tfjs';
import {gguf} from '../../src/formats/gguf.js';
import {Linear, openCheckpoint} from '../../src/index.js';
import {ggufModule, product, randomBlocks} from '../formats/gguf_support.js';
import {compareFloats} from '../formats/packed_support.js';
import {concat, ggufFile, ggufListed} from '../io/bytes_support.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';

const OUT = 24;
const IN = 64;
const TYPES = [
  {type: 'Q4_0', id: 2, name: 'blk.0.ffn_up'},
  {type: 'Q8_0', id: 8, name: 'blk.0.ffn_down'},
];

describe('huggingface/transformers.js#734', () => {
  onEachBackend(() => {
    it('Q4_0 and Q8_0 tensors of a tiny GGUF become linear layers', async () => {
      const blocks = TYPES.map(({type}, i) => randomBlocks(type, OUT, IN, 734 + i));
      const padding = new Uint8Array(Math.ceil(blocks[0]!.length / 32) * 32 - blocks[0]!.length);
      const offsets = [0, blocks[0]!.length + padding.length];
      const tensors = TYPES.map(({name, id}, i) => ggufListed(`${name}.weight`, [IN, OUT], id, offsets[i]!));
      const checkpoint = await openCheckpoint({'tiny.gguf': ggufFile({tensors, data: concat(blocks[0]!, padding, blocks[1]!)})});
      const values = Float32Array.from({length: 3 * IN}, (_, i) => Math.sin(3 * i));
      for (const [i, {type, name}] of TYPES.entries()) {
        const reference = gguf.reference(ggufModule(type, OUT, IN, blocks[i]!));
        const layer = await checkpoint.linear(name, {inputPrecision: 'float32'});
        expect(layer).toBeInstanceOf(Linear);
        const x = tf.tensor2d(values, [3, IN]);
        const weight = layer.weight.dequantize();
        const y = layer.forward(x);
        expect(compareFloats((await weight.data()) as Float32Array, reference))
          .withContext(type)
          .toBe('equal');
        expect(rowErrors(await y.data(), product(values, reference, IN), OUT))
          .withContext(type)
          .toBeLessThanOrEqual(1e-6);
        tf.dispose([x, weight, y]);
        layer.dispose();
      }
      await checkpoint.close();
    });
  });
});
