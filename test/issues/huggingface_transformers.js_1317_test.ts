// https://github.com/huggingface/transformers.js/issues/1317: 8-bit models gave unusable output on WebGPU.
import {packCodes, partsOf} from '../../kernels/words.js';
import {buildWeight, randomX, seeded} from '../grid/layouts.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('huggingface/transformers.js#1317', () => {
  onBackends(ALL_BACKENDS, () => {
    it('signed codes -128 and 127 in every row', async () => {
      const named = buildWeight('signed', {n: 9, k: 48, planes: [8], zero: 128, scales: [['float32', 1, 48]]}, 14);
      const parts = partsOf(named.layout, named.words);
      const random = seeded(15);
      parts.codes.fill(0);
      packCodes(
        named.layout,
        parts,
        Array.from({length: 9 * 48}, (_, i) => (i % 3 === 0 ? 0 : i % 3 === 1 ? 255 : Math.floor(random() * 256))),
      );
      const {error} = await multiplyOnce(named, randomX(2, 48));
      expect(error).toBeLessThan(1e-6);
    });
  });
});
