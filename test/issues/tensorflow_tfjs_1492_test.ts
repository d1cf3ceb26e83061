// https://github.com/tensorflow/tfjs/issues/1492: weights stored as uint8 do not take less memory when they run.
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {largeLayer} from '../support/large.js';

const MiB = 2 ** 20;

describe('tensorflow/tfjs#1492', () => {
  onEachBackend(() => {
    it('an 8-bit 4096 x 4096 layer takes 16 to 17 MiB, and less than 64 KiB more at the peak of a forward of one row', async () => {
      const {files} = largeLayer(8, 4096);
      const before = tf.memory().numBytes;
      const checkpoint = await openCheckpoint(files);
      const layer = await checkpoint.linear('fc');
      await checkpoint.close();
      const resident = tf.memory().numBytes - before;
      expect(resident).toBeGreaterThanOrEqual(16 * MiB);
      expect(resident).toBeLessThanOrEqual(17 * MiB);
      const x = tf.ones([1, 4096]);
      const held = tf.memory().numBytes;
      const {result, peakBytes} = await tf.profile(() => layer.forward(x));
      expect(peakBytes - held).toBeLessThanOrEqual(64 * 1024);
      tf.dispose([x, result as tf.Tensor]);
      layer.dispose();
      expect(tf.memory().numBytes).toBe(before);
    });
  });
});
