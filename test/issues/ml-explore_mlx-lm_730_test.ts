// https://github.com/ml-explore/mlx-lm/issues/730: g_idx was there and silently ignored.
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {compareFloats, expectExact, unpack} from '../formats/packed_support.js';

describe('ml-explore/mlx-lm#730', () => {
  it('a shuffled g_idx is used although desc_act is false', () => {
    const groupOf = Array.from({length: 64}, (_, k) => (k * 5) % 2);
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32, groupOf}, 730);
    const module = moduleOf(gptqTensors(parts, 'gptq'), {...gptqConfig(4, 32, false), desc_act: false});
    const lowered = expectExact(gptq, module, affineWeight(parts), 'shuffled', 1.2);
    expect(lowered.layout.ordered).toBeTrue();
    const unsorted = affineWeight({...parts, groupOf: groupOf.map((_, k) => k >> 5)});
    expect(compareFloats(unpack(lowered), unsorted)).not.toBe('equal');
  });
});
