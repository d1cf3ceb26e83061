// https://github.com/ModelCloud/GPTQModel/issues/2924: 48 outputs, no multiple of 32, fail on some kernels.
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint} from '../../src/index.js';
import {checkpointFiles, inputs, product} from '../formats/checkpoint_build.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';

describe('ModelCloud/GPTQModel#2924', () => {
  onEachBackend(() => {
    it('48 outputs, symmetric and not', async () => {
      for (const sym of [true, false]) {
        const parts = randomParts({outDim: 48, inDim: 64, bits: 4, groupSize: 32, ...(sym ? {zero: 8} : {})}, 48);
        const module = moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(4, 32, sym));
        const ckpt = await openCheckpoint(checkpointFiles(module));
        const layer = await ckpt.linear(module.module);
        const x = inputs(5, 64);
        const y = tf.tidy(() => layer.forward(tf.tensor2d(x, [5, 64])).clone());
        expect(y.shape).toEqual([5, 48]);
        expect(rowErrors(await y.data(), product(x, affineWeight(parts), 64), 48)).toBeLessThan(1e-4);
        y.dispose();
        layer.dispose();
        await ckpt.close();
      }
    });
  });
});
