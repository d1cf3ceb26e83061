// https://github.com/casper-hansen/AutoAWQ/issues/101: converting between AWQ and GPTQ shifts the zero point by one.
import {awq} from '../../src/formats/awq.js';
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, awqTensors, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('casper-hansen/AutoAWQ#101', () => {
  it('the same weight in AWQ and in both GPTQ conventions is one record', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32}, 101);
    const config = {quant_method: 'awq', bits: 4, group_size: 32, zero_point: true, version: 'gemm'};
    const a = expectExact(awq, moduleOf(awqTensors(parts), config), affineWeight(parts), 'AWQ', 1.2);
    for (const format of ['gptq', 'gptq_v2'] as const) {
      const b = expectExact(gptq, moduleOf(gptqTensors(parts, format), gptqConfig(4, 32, false, format)), affineWeight(parts), format, 1.2);
      expect([...b.words])
        .withContext(format)
        .toEqual([...a.words]);
    }
  });
});
