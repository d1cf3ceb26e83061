// https://github.com/vllm-project/vllm/issues/21066: a symmetric config, yet the kernel used the stored zero points.
// Our choice: where the two disagree the layer is refused, since tools differ in which of them they use.
import {UnsupportedError} from '../../src/errors.js';
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/vllm#21066', () => {
  it('sym with other zero points stored is refused with the place of the first; without sym they are used', () => {
    const plain = randomParts({outDim: 16, inDim: 64, bits: 4, groupSize: 32, zero: 8}, 21066);
    const parts = {...plain, zeros: plain.zeros.map((row, g) => row.map((z, n) => (g === 1 && n === 3 ? 5 : z)))};
    const tensors = gptqTensors(parts, 'gptq');
    expect(() => gptq.lower(moduleOf(tensors, gptqConfig(4, 32, true)))).toThrowError(
      UnsupportedError,
      /qzeros.*8 everywhere: the config says sym.*5 for group 1, output 3.*Set sym to false/,
    );
    expectExact(gptq, moduleOf(tensors, gptqConfig(4, 32, false)), affineWeight(parts), 'sym false', 1.2);
  });
});
