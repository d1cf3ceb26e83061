// https://github.com/mlc-ai/mlc-llm/issues/838: a shader used 512 threads where the default limit is 256.
import * as tf from '@tensorflow/tfjs';
import {obstacle, WEBGPU_VARIANTS} from '../../kernels/choose.js';
import {profileOf} from '../../kernels/webgpu/backend.js';
import {warmUp} from '../../kernels/webgpu/warm_up.js';
import {QuantizedWeight} from '../../src/index.js';
import {buildWeight} from '../grid/layouts.js';
import {webgpuBackend, withDevice, withProfile, withVariant} from '../support/webgpu.js';

describe('mlc-ai/mlc-llm#838', () => {
  for (const software of [false, true]) {
    it(`compiles every kernel on a device with the default limits, ${software ? 'as on a CPU' : 'as on a GPU'}`, async () => {
      await withDevice({limits: 'default'}, async () => {
        expect(webgpuBackend().device.limits.maxComputeInvocationsPerWorkgroup).toBe(256);
        const named = buildWeight('any', {n: 16, k: 64, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]]}, 6);
        const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
        await withProfile({software}, async () => {
          const profile = profileOf(webgpuBackend());
          for (const variant of WEBGPU_VARIANTS) {
            const problem = {rows: 1, outDim: 16, inDim: 64, chunked: true};
            const against = obstacle(variant, problem, profile);
            if (variant === 'gemm_tiles') expect(against).toBeNull();
            if (against === null)
              await expectAsync(withVariant(variant, () => warmUp(weight, {rows: [1, 8], unpack: true})))
                .withContext(variant)
                .toBeResolved();
          }
        });
        weight.dispose();
        expect(tf.getBackend()).toContain('webgpu');
      });
    });
  }
});
