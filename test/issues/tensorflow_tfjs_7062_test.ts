// https://github.com/tensorflow/tfjs/issues/7062: batches were broadcast wrongly at rank 4.
import {buildWeight, randomX} from '../grid/layouts.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('tensorflow/tfjs#7062', () => {
  onBackends(ALL_BACKENDS, () => {
    it('x [2, 3, 4, 64] gives [2, 3, 4, N], as x [24, 64] does', async () => {
      const named = buildWeight('rank 4', {n: 10, k: 64, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]]}, 21);
      const x = randomX(24, 64);
      const {y, shape, error} = await multiplyOnce(named, x, {shape: [2, 3, 4, 64]});
      expect(shape).toEqual([2, 3, 4, 10]);
      expect(error).toBeLessThan(1e-6);
      const flat = await multiplyOnce(named, x);
      expect(y).toEqual(flat.y);
    });
  });
});
