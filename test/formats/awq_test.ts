import {awq} from '../../src/formats/awq.js';
import {listCases, loadCase} from '../support/fixtures.js';
import {expectExact} from './packed_support.js';

const CASES = ['awq_gemm_g32_bias', 'awq_gm_gemm_g32_asym', 'awq_gm_gemm_g128_sym'];

describe('awq', () => {
  it('covers every fixture of its kind', async () => {
    expect((await listCases('awq')).map((c) => c.name).sort()).toEqual([...CASES].sort());
  });

  for (const name of CASES) {
    it(`${name}: bit-equal to the tool, and raised byte for byte`, async () => {
      const {module, ref} = await loadCase(name);
      expectExact(awq, module, ref.weight!, name);
    });
  }
});
