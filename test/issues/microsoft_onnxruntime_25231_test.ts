// https://github.com/microsoft/onnxruntime/issues/25231: an 8-bit product was wrong at M = 2, N = 5120, K = 3072.
import {buildWeight, randomX} from '../grid/layouts.js';
import {multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('microsoft/onnxruntime#25231', () => {
  onBackends(['webgpu'], () => {
    it('M = 2, N = 5120, K = 3072', async () => {
      const named = buildWeight('wide', {n: 5120, k: 3072, planes: [8], zero: [1, 32], scales: [['float16', 1, 32]]}, 17);
      const {error} = await multiplyOnce(named, randomX(2, 3072));
      expect(error).toBeLessThan(1e-6);
    });
  });
});
