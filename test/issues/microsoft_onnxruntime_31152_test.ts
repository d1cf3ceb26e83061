// https://github.com/microsoft/onnxruntime/issues/31152: K = 40 in groups of 32. The last group is short, and its scale is its own.
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint} from '../../src/index.js';
import {checkpointFiles, inputs, product} from '../formats/checkpoint_build.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';

describe('microsoft/onnxruntime#31152', () => {
  onEachBackend(() => {
    it('a short last group has its own scale and zero point', async () => {
      const parts = randomParts({outDim: 8, inDim: 40, bits: 4, groupSize: 32}, 1);
      const module = moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(4, 32, false));
      const ckpt = await openCheckpoint(checkpointFiles(module));
      const layer = await ckpt.linear(module.module);
      const x = inputs(3, 40);
      const y = tf.tidy(() => layer.forward(tf.tensor2d(x, [3, 40])).clone());
      expect(rowErrors(await y.data(), product(x, affineWeight(parts), 40), 8)).toBeLessThan(1e-4);
      y.dispose();
      layer.dispose();
      await ckpt.close();
    });
  });
});
