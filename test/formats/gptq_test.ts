import {gptq} from '../../src/formats/gptq.js';
import {listCases, loadCase} from '../support/fixtures.js';
import {expectExact} from './packed_support.js';

const CASES = [
  'gptq_b4_g128_sym_v1_bias',
  'gptq_b4_g32_sym_v1',
  'gptq_b4_g64_sym_act_v1_bias',
  'gptq_b4_g32_sym_act_static_v1',
  'gptq_b4_g32_asym_v1_bias',
  'gptq_b4_g64_asym_act_v2',
  'gptq_b4_gch_asym_act_v1_bias',
  'gptq_b8_g128_sym_v1',
  'gptq_b8_gch_asym_act_v1',
  'gptq_b3_g32_asym_act_v2',
  'gptq_b3_g64_asym_v1_bias',
  'gptq_b2_g32_sym_v1_bias',
  'gptq_b2_g64_asym_v1',
  'gptq_b2_g128_sym_act_v1',
  'gptq_b3_g64_sym_planar',
  'gptq_b6_g64_asym_planar_bias',
  'gptq_b4_gch_sym_v1',
  'autogptq_b4_g32_asym_v1_bias',
  'autogptq_b3_g64_asym_v1_bias',
];

describe('gptq', () => {
  it('covers every fixture of its kind', async () => {
    expect((await listCases('gptq')).map((c) => c.name).sort()).toEqual([...CASES].sort());
  });

  for (const name of CASES) {
    it(`${name}: bit-equal to the tool, and raised byte for byte`, async () => {
      const {module, ref, entry} = await loadCase(name);
      const {layout} = expectExact(gptq, module, ref.weight!, name);
      expect(layout.ordered).toBe(entry.attributes.g_idx_sequential === false);
    });
  }
});
