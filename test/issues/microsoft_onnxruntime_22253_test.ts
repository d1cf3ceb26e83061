// https://github.com/microsoft/onnxruntime/issues/22253: an odd number of groups gave zero points of a wrong size.
import {awq} from '../../src/formats/awq.js';
import {compressedPacked} from '../../src/formats/compressed_packed.js';
import {gptq} from '../../src/formats/gptq.js';
import {
  affineWeight,
  awqTensors,
  compressedConfig,
  gptqConfig,
  gptqTensors,
  moduleOf,
  packQuantizedTensors,
  packWeights,
  randomParts,
} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('microsoft/onnxruntime#22253', () => {
  it('13 groups of 4-bit zero points over 3 outputs, packed along either axis', () => {
    const parts = randomParts({outDim: 3, inDim: 13 * 8, bits: 4, groupSize: 8}, 22253);
    const weight = affineWeight(parts);
    expectExact(gptq, moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(4, 8, false)), weight, 'GPTQ', 1.2);
    const compressed = moduleOf(packQuantizedTensors(parts, true), compressedConfig('pack-quantized', packWeights(4, 8, false)));
    expectExact(compressedPacked, compressed, weight, 'compressed-tensors', 1.2);
  });

  it('13 groups of AWQ', () => {
    const parts = randomParts({outDim: 8, inDim: 13 * 8, bits: 4, groupSize: 8}, 22254);
    expectExact(
      awq,
      moduleOf(awqTensors(parts), {quant_method: 'awq', bits: 4, group_size: 8, zero_point: true}),
      affineWeight(parts),
      'AWQ',
      1.2,
    );
  });
});
