// https://github.com/ggml-org/llama.cpp/issues/23925: gibberish in a browser without subgroups.
import {WEBGPU_VARIANTS} from '../../kernels/choose.js';
import {profileOf} from '../../kernels/webgpu/backend.js';
import {choiceFor} from '../../kernels/webgpu/matmul.js';
import {randomWeights, randomX} from '../grid/layouts.js';
import {multiplyOnce, onBackends} from '../support/gpu_cases.js';
import {webgpuBackend, withDevice, withProfile, withVariant} from '../support/webgpu.js';

const NAMES = ['int4 g128 zeros', 'int8 g32 zeros', 'int6 g16 two levels', 'e4m3fn blocks 16x32', 'int4 g32 ordered', 'int4 K=40 g32'];

describe('ggml-org/llama.cpp#23925', () => {
  onBackends(['cpu'], () => {
    it('is right without subgroups, and chooses no kernel that names them', async () => {
      const weights = randomWeights().filter(({name}) => NAMES.includes(name));
      expect(weights.length).toBe(NAMES.length);
      await withDevice({}, () =>
        withProfile({withoutFeatures: ['subgroups', 'shader-f16'], software: false}, async () => {
          for (const named of weights) {
            for (const variant of ['auto', ...WEBGPU_VARIANTS.filter((v) => v.endsWith('subgroup'))]) {
              await withVariant(variant, async () => {
                expect(choiceFor(named.layout, 3, named.layout.outDim, profileOf(webgpuBackend())).variant).toBe('gemv_tree');
                const {error} = await multiplyOnce(named, randomX(3, named.layout.inDim));
                expect(error).withContext(named.name).toBeLessThan(2e-6);
              });
            }
          }
        }),
      );
    });
  });
});
