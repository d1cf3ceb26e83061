// https://github.com/vllm-project/compressed-tensors/issues/846: overlapping name patterns were applied in alphabetical order.
// Ours is the file's order, after exact names; a tie is in the record's origin.
import {compressedPacked} from '../../src/formats/compressed_packed.js';
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, packQuantizedTensors, packWeights, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/compressed-tensors#846', () => {
  const group = (target: string, bits: number) => ({targets: [target], weights: packWeights(bits, 32, true)});
  const config = (...groups: object[]) => ({
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    config_groups: Object.fromEntries(groups.map((g, i) => [`group_${i}`, g])),
  });

  it('config groups: the first in the file wins, in whichever alphabetical order', () => {
    for (const targets of [
      ['re:.*z?up_proj', 're:.*mlp.*'],
      ['re:.*mlp.*', 're:.*z?up_proj'],
    ] as const) {
      const parts = randomParts({outDim: 32, inDim: 64, bits: 8, groupSize: 32, zero: 128}, 846);
      const module = moduleOf(packQuantizedTensors(parts, false), config(group(targets[0], 8), group(targets[1], 4)));
      const {origin} = expectExact(compressedPacked, module, affineWeight(parts), targets[0], 1.2);
      expect(origin.details.alsoMatched).toEqual([targets[1]]);
      const other = moduleOf(packQuantizedTensors(parts, false), config(group(targets[1], 4), group(targets[0], 8)));
      expect(() => compressedPacked.lower(other)).toThrowError(/weight_packed.*4 bits/);
    }
  });

  it('dynamic overrides: likewise', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 8, groupSize: 32, zero: 128}, 847);
    const make = (dynamic: object) => moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(4, 32, true, 'gptq', {dynamic}));
    const {origin} = expectExact(gptq, make({'.*up': {bits: 8}, '.*mlp': {bits: 4}}), affineWeight(parts), 'first', 1.2);
    expect(origin.details.alsoMatched).toEqual(['.*mlp']);
    expect(() => gptq.validate(make({'.*mlp': {bits: 4}, '.*up': {bits: 8}}))).toThrowError(/qweight/);
  });
});
