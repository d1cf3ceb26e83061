// https://github.com/huggingface/transformers.js/issues/1512: an 8-bit model was wrong on WebGPU and right on wasm.
import {packZeros, partsOf} from '../../kernels/words.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('huggingface/transformers.js#1512', () => {
  onBackends(ALL_BACKENDS, () => {
    it('8-bit codes with zero points 0, 127, 128 and 255', async () => {
      const named = buildWeight('zeros', {n: 8, k: 64, planes: [8], zero: [1, 32], scales: [['float32', 1, 32]]}, 13);
      const parts = partsOf(named.layout, named.words);
      parts.zeros.fill(0);
      packZeros(
        named.layout,
        parts,
        Array.from({length: 16}, (_, i) => [0, 127, 128, 255][i % 4] as number),
      );
      const {error} = await multiplyOnce(named, randomX(3, 64));
      expect(error).toBeLessThan(1e-6);
    });
  });
});
