/** The fixtures' blocks out of a real GGUF file, as layers. */
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {fixtureSource} from '../support/files.js';
import {ggufCases} from './gguf_support.js';
import {compareFloats} from './packed_support.js';

describe('a GGUF file of every type', () => {
  onEachBackend(() => {
    it('gives layers equal to the fixtures', async () => {
      const checkpoint = await openCheckpoint(await fixtureSource('quant/gguf_all_types.gguf'));
      const names = new Set(checkpoint.names());
      let seen = 0;
      for (const {type, weight, x, y, inDim, outDim} of await ggufCases()) {
        // The slice of a published model is not in the file.
        if (inDim !== 512) continue;
        expect(names).toContain(`fixture.${type}.weight`);
        const layer = await checkpoint.linear(`fixture.${type}`, {inputPrecision: 'float32'});
        const input = tf.tensor2d(x, [x.length / inDim, inDim]);
        const unpacked = layer.weight.dequantize();
        const output = layer.forward(input);
        expect(compareFloats((await unpacked.data()) as Float32Array, weight))
          .withContext(type)
          .toBe('equal');
        expect(rowErrors(await output.data(), y, outDim))
          .withContext(type)
          .toBeLessThanOrEqual(1e-6);
        tf.dispose([input, unpacked, output]);
        layer.dispose();
        seen++;
      }
      expect(seen).toBe(18);
      await checkpoint.close();
    });
  });
});
