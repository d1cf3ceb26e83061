// https://github.com/tensorflow/tfjs/issues/831: a quantised model takes the memory of a float one as soon as it is loaded.
import * as tf from '@tensorflow/tfjs';
import {memory, openCheckpoint} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {largeLayer} from '../support/large.js';

const MiB = 2 ** 20;

describe('tensorflow/tfjs#831', () => {
  onEachBackend(() => {
    it('a 4-bit 4096 x 4096 layer takes 8.5 to 9.5 MiB, at most 1.06 of its file, not 64', async () => {
      const {files, fileBytes} = largeLayer(4, 4096);
      const before = tf.memory().numBytes;
      const checkpoint = await openCheckpoint(files);
      const layer = await checkpoint.linear('fc');
      await checkpoint.close();
      const x = tf.ones([1, 4096]);
      const y = layer.forward(x);
      await y.data();
      tf.dispose([x, y]);
      const resident = tf.memory().numBytes - before;
      expect(resident).toBeGreaterThanOrEqual(8 * MiB);
      expect(resident).toBeLessThanOrEqual(9.5 * MiB);
      expect(resident / fileBytes).toBeLessThanOrEqual(1.06);
      expect(resident).toBe(layer.byteLength);
      expect(memory().codesBytes).toBe(resident);
      expect(memory().float32Bytes).toBe(64 * MiB);
      layer.dispose();
      expect(tf.memory().numBytes).toBe(before);
    });
  });
});
