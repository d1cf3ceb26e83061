import {fp8} from '../../src/formats/fp8.js';
import {listCases, loadCase} from '../support/fixtures.js';
import {expectExact} from './packed_support.js';

const GROUPS = {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'group', groupSize: 128, divisor: 448, amaxFloor: 1e-4};

/** Whether the scale divides, and the input scheme. */
const CASES: Readonly<Record<string, readonly [boolean, object | null]>> = {
  deepseek_fp8_block128_200x320: [false, GROUPS],
  deepseek_fp8_block128_96x100: [false, GROUPS],
  fbgemm_fp8_rowwise_bias: [false, {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'token', divisor: 448, scaleUb: 40}],
  gm_fp8_e4m3_tensor: [true, null],
  gm_fp8_e4m3_block128: [true, null],
  gm_fp8_e5m2_row: [true, null],
};

describe('fp8', () => {
  it('covers every fixture of its kinds', async () => {
    const names = (await listCases('fp8-deepseek', 'fp8-fbgemm', 'fp8-gptqmodel')).map((c) => c.name);
    expect(names.sort()).toEqual(Object.keys(CASES).sort());
  });

  for (const [name, [divide, scheme]] of Object.entries(CASES)) {
    it(`${name}: bit-equal to the tool, and raised byte for byte`, async () => {
      const {module, ref} = await loadCase(name);
      const lowered = expectExact(fp8, module, ref.weight!, name);
      expect(lowered.layout.scales[0]!.divide).toBe(divide);
      expect(lowered.inputScheme as object | null).toEqual(scheme);
    });
  }
});
