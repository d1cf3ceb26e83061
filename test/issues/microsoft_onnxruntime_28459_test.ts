// https://github.com/microsoft/onnxruntime/issues/28459: the bias sat in the wrong input slot, and a lax test passed.
import {buildWeight, randomX} from '../grid/layouts.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('microsoft/onnxruntime#28459', () => {
  onBackends(ALL_BACKENDS, () => {
    it('a bias far larger than the product shows in each column', async () => {
      const named = buildWeight('bias', {n: 5, k: 64, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]]}, 16);
      const bias = Float32Array.from([10000, -20000, 30000, -40000, 50000]);
      for (const m of [1, 6]) {
        const x = randomX(m, 64);
        const {y, error} = await multiplyOnce(named, x, {bias});
        expect(error).toBeLessThan(1e-6);
        const {y: without} = await multiplyOnce(named, x);
        y.forEach((v, i) => expect(Math.abs(v - (bias[i % 5] as number) - (without[i] as number))).toBeLessThan(0.01));
      }
    });
  });
});
