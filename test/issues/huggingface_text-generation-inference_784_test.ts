// https://github.com/huggingface/text-generation-inference/issues/784: 8-bit GPTQ was read with a 4 that was written into the code.
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {compareFloats, expectExact} from '../formats/packed_support.js';

describe('huggingface/text-generation-inference#784', () => {
  it('8 bits, and its 4-bit twin of the same values', () => {
    const four = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32}, 784);
    const eight = {...four, bits: 8};
    const weight = affineWeight(four);
    expect(compareFloats(affineWeight(eight), weight)).toBe('equal');
    expectExact(gptq, moduleOf(gptqTensors(four, 'gptq'), gptqConfig(4, 32, false)), weight, '4 bits', 1.2);
    const module = moduleOf(gptqTensors(eight, 'gptq'), gptqConfig(8, 32, false));
    expect(expectExact(gptq, module, weight, '8 bits', 1.2).layout.planes).toEqual([8]);
  });
});
