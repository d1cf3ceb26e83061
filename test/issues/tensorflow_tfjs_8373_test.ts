// https://github.com/tensorflow/tfjs/issues/8373: a very long batch landed on an axis of the grid that is too short for it.
import {buildWeight, randomX} from '../grid/layouts.js';
import {multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('tensorflow/tfjs#8373', () => {
  onBackends(['webgpu'], () => {
    it('multiplies x [70000, 1, 32]', async () => {
      const named = buildWeight('batch', {n: 8, k: 32, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 1);
      const {shape, error} = await multiplyOnce(named, randomX(70000, 32), {shape: [70000, 1, 32]});
      expect(shape).toEqual([70000, 1, 8]);
      expect(error).toBeLessThan(2e-6);
    });
  });
});
