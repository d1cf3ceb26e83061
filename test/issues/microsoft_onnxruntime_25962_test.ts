// https://github.com/microsoft/onnxruntime/issues/25962: operands larger than the binding limit must be split.
import {explainWebGPU} from '../../kernels/webgpu/explain.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {multiplyOnce, onBackends} from '../support/gpu_cases.js';
import {withProfile} from '../support/webgpu.js';

describe('microsoft/onnxruntime#25962', () => {
  onBackends(['webgpu'], () => {
    it('splits a 4-bit weight 4096 to 1024 at a limit of 1 MiB', async () => {
      const named = buildWeight('over', {n: 1024, k: 4096, planes: [4], zero: 8, scales: [['float16', 1, 128]]}, 4);
      await withProfile({limits: {maxStorageBufferBindingSize: 1 << 20}}, async () => {
        const {parts, reason} = explainWebGPU(named.layout, 2);
        expect(parts).toBe(3);
        expect(reason).toContain('split into 3 parts');
        const {error} = await multiplyOnce(named, randomX(2, 4096));
        expect(error).toBeLessThan(1e-6);
      });
    });
  });
});
