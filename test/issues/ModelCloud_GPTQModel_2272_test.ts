// https://github.com/ModelCloud/GPTQModel/issues/2272: a v2 file loads on one backend and has a shape mismatch on another.
import {openCheckpoint} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {compareFloats} from '../formats/packed_support.js';
import {onEachBackend} from '../support/backends.js';
import {loadCase} from '../support/fixtures.js';

describe('ModelCloud/GPTQModel#2272', () => {
  onEachBackend(() => {
    it('v2 files of 3 and 4 bits have the same values everywhere', async () => {
      for (const name of ['gptq_b4_g64_asym_act_v2', 'gptq_b3_g32_asym_act_v2']) {
        const {module, ref} = await loadCase(name);
        const ckpt = await openCheckpoint(checkpointFiles(module));
        const layer = await ckpt.linear(module.module);
        const values = (layer.weight as {dequantize(): import('@tensorflow/tfjs').Tensor}).dequantize();
        expect(compareFloats((await values.data()) as Float32Array, ref.weight!))
          .withContext(name)
          .toBe('equal');
        values.dispose();
        layer.dispose();
        await ckpt.close();
      }
    });
  });
});
