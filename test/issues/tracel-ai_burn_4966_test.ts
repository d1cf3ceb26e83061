// https://github.com/tracel-ai/burn/issues/4966: rows at and beyond M = 500 were near zero.
import {buildWeight, randomX} from '../grid/layouts.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';
import {withVariant} from '../support/webgpu.js';

describe('tracel-ai/burn#4966', () => {
  const named = buildWeight('tall', {n: 24, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 19);

  onBackends(ALL_BACKENDS, (backend) => {
    for (const m of [499, 500, 512, 513]) {
      it(`M = ${m}`, async () => {
        expect((await multiplyOnce(named, randomX(m, 64))).error).toBeLessThan(1e-6);
        if (backend === 'webgpu') {
          for (const variant of ['gemv_tree', 'gemm_tiles']) {
            expect((await withVariant(variant, () => multiplyOnce(named, randomX(m, 64)))).error)
              .withContext(variant)
              .toBeLessThan(1e-6);
          }
        }
      });
    }
  });
});
