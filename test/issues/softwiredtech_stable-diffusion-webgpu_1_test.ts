// https://github.com/softwiredtech/stable-diffusion-webgpu/issues/1: a binding over the default limit gave a black image, not an error.
import {buildWeight, randomX} from '../grid/layouts.js';
import {multiplyOnce, onBackends} from '../support/gpu_cases.js';
import {withDevice, withProfile} from '../support/webgpu.js';

describe('softwiredtech/stable-diffusion-webgpu#1', () => {
  onBackends(['cpu'], () => {
    it('is right with a weight over the limit, on a device with the default limits', async () => {
      const named = buildWeight('black', {n: 320, k: 512, planes: [8], zero: 128, scales: [['float32', 1, 512]]}, 5);
      await withDevice({limits: 'default'}, async () => {
        // As 151 MB stand to the default limit of 134 MB.
        await withProfile({limits: {maxStorageBufferBindingSize: Math.floor((named.words.byteLength * 134) / 151)}}, async () => {
          const {y, error} = await multiplyOnce(named, randomX(1, 512));
          expect(error).toBeLessThan(1e-6);
          expect(y.some((v) => v !== 0)).toBe(true);
        });
      });
    });
  });
});
