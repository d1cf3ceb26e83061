// https://github.com/ml-explore/mlx/issues/4250: N = 32 was all zeros, and N = 96 had garbage at its end.
import {buildWeight, randomX} from '../grid/layouts.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';
import {withProfile} from '../support/webgpu.js';

describe('ml-explore/mlx#4250', () => {
  onBackends(ALL_BACKENDS, (backend) => {
    for (const n of [32, 96]) {
      for (const m of [1, 8]) {
        it(`N = ${n}, M = ${m}`, async () => {
          const named = buildWeight('narrow', {n, k: 256, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]]}, 18);
          expect((await multiplyOnce(named, randomX(m, 256))).error).toBeLessThan(1e-6);
          if (backend === 'webgpu') {
            const asGPU = await withProfile({software: false}, () => multiplyOnce(named, randomX(m, 256)));
            expect(asGPU.error).toBeLessThan(1e-6);
          }
        });
      }
    }
  });
});
