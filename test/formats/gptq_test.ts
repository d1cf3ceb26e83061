import {gptq} from '../../src/formats/gptq.js';
import {MissingError} from '../../src/index.js';
import {listCases, loadCase} from '../support/fixtures.js';
import {gptqConfig, gptqTensors, moduleOf, randomParts} from './packed_build.js';
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

describe('desc_act without g_idx', () => {
  const {g_idx: _, ...tensors} = gptqTensors(randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32}, 31), 'gptq');
  const validate = (global: boolean, module?: boolean) =>
    gptq.validate(
      moduleOf(
        tensors,
        gptqConfig(4, 32, false, 'gptq', {desc_act: global, ...(module === undefined ? {} : {dynamic: {'+:.*': {desc_act: module}}})}),
      ),
    );

  it('is refused, also where an override says it of this module alone', () => {
    expect(() => validate(true)).toThrowError(MissingError, /g_idx/);
    expect(() => validate(false, true)).toThrowError(MissingError, /g_idx/);
  });

  it('is no fault where the module is said to be in order', () => {
    expect(() => validate(false)).not.toThrow();
    expect(() => validate(true, false)).not.toThrow();
  });
});
