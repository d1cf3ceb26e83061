// https://github.com/ggml-org/llama.cpp/issues/19965: more than 65535 workgroups on one axis failed, or wrote wrong results.
import {buildWeight, randomX} from '../grid/layouts.js';
import {multiplyOnce, onBackends} from '../support/gpu_cases.js';
import {withProfile, withVariant} from '../support/webgpu.js';

describe('ggml-org/llama.cpp#19965', () => {
  const named = buildWeight('many rows', {n: 32, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 2);

  onBackends(['webgpu'], () => {
    it('multiplies x [70000, 64] in workgroups of 8 rows of W and 8 of x', async () => {
      const {error} = await multiplyOnce(named, randomX(70000, 64));
      expect(error).toBeLessThan(1e-6);
    });

    it('multiplies x [9000, 64] in 72000 workgroups', async () => {
      const shape = {software: false};
      const {error} = await withProfile(shape, () => withVariant('plain', () => multiplyOnce(named, randomX(9000, 64))));
      expect(error).toBeLessThan(1e-6);
    });
  });
});
