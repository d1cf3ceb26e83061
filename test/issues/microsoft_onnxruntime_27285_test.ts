// https://github.com/microsoft/onnxruntime/issues/27285: 2 bits with zero points other than the default were wrong.
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('microsoft/onnxruntime#27285', () => {
  it('2 bits with zero points 0, 1, 2 and 3 across groups', () => {
    const random = randomParts({outDim: 16, inDim: 64, bits: 2, groupSize: 16}, 1);
    const parts = {...random, zeros: [0, 1, 2, 3].map((z) => Array<number>(16).fill(z))};
    for (const format of ['gptq', 'gptq_v2'] as const) {
      const {layout} = expectExact(
        gptq,
        moduleOf(gptqTensors(parts, format), gptqConfig(2, 16, false, format)),
        affineWeight(parts),
        format,
        1.2,
      );
      expect(layout.zero.kind).toBe('codes');
    }
  });
});
