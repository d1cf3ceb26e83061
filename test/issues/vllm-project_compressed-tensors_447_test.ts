// https://github.com/vllm-project/compressed-tensors/issues/447: groups of 512 do not divide rows of 768. The last group is short.
import {compressedPacked} from '../../src/formats/compressed_packed.js';
import {affineWeight, compressedConfig, moduleOf, packQuantizedTensors, packWeights, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/compressed-tensors#447', () => {
  const config = compressedConfig('pack-quantized', packWeights(4, 512, false));
  const parts = randomParts({outDim: 16, inDim: 768, bits: 4, groupSize: 512}, 447);

  it('two groups, of 512 and of 256, each with its own scale and zero point', () => {
    expectExact(compressedPacked, moduleOf(packQuantizedTensors(parts, true), config), affineWeight(parts), '768 in groups of 512');
  });

  it('scales for any other number of groups are refused with inputs and group size', () => {
    const one = randomParts({outDim: 16, inDim: 768, bits: 4, groupSize: 768}, 447);
    expect(() => compressedPacked.lower(moduleOf(packQuantizedTensors(one, true), config))).toThrowError(
      /up_proj\.weight_scale.*\[16,2\] \(groups of 512 of 768 inputs\).*\[16,1\]/,
    );
  });
});
