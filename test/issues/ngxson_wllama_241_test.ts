// https://github.com/ngxson/wllama/issues/241: an assertion about shader-f16 fired though nothing was placed on the GPU.
import {buildWeight, randomX} from '../grid/layouts.js';
import {multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('ngxson/wllama#241', () => {
  onBackends(['wasm'], () => {
    it('a model on wasm asks no adapter for anything', async () => {
      const request = spyOn(navigator.gpu, 'requestAdapter').and.rejectWith(new Error('shader-f16 is not supported'));
      const named = buildWeight('wasm', {n: 16, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 9);
      const {error} = await multiplyOnce(named, randomX(1, 64));
      expect(error).toBeLessThan(1e-6);
      expect(request).not.toHaveBeenCalled();
    });
  });
});
