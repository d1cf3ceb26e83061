// https://github.com/vllm-project/llm-compressor/issues/54: 7392 columns are not divisible by groups of 128. The last group holds 96.
import {compressedPacked} from '../../src/formats/compressed_packed.js';
import {gptq} from '../../src/formats/gptq.js';
import {
  affineWeight,
  compressedConfig,
  gptqConfig,
  gptqTensors,
  moduleOf,
  packQuantizedTensors,
  packWeights,
  randomParts,
} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/llm-compressor#54', () => {
  it('58 groups, the last of them short', () => {
    const parts = randomParts({outDim: 8, inDim: 7392, bits: 4, groupSize: 128}, 54);
    const weight = affineWeight(parts);
    const compressed = moduleOf(packQuantizedTensors(parts, true), compressedConfig('pack-quantized', packWeights(4, 128, false)));
    const {layout} = expectExact(compressedPacked, compressed, weight, 'compressed-tensors');
    expect(layout.scales[0]!.grid.shape).toEqual([8, 58]);
    expectExact(gptq, moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(4, 128, false)), weight, 'GPTQ');
  });
});
