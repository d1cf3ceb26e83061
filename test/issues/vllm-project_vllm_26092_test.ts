// https://github.com/vllm-project/vllm/issues/26092: gptq_v2 read as v1 gave endless "!!!!".
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/vllm#26092', () => {
  it('v2 storing 8 and its v1 twin storing 7 are one record', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32, zero: 8}, 26092);
    const [v1, v2] = [gptqTensors(parts, 'gptq'), gptqTensors(parts, 'gptq_v2')];
    expect(new Uint32Array(v1.qzeros!.data.buffer)[0]).toBe(0x77777777);
    expect(new Uint32Array(v2.qzeros!.data.buffer)[0]).toBe(0x88888888);
    const a = expectExact(gptq, moduleOf(v1, gptqConfig(4, 32, true, 'gptq')), affineWeight(parts), 'v1', 1.2);
    const b = expectExact(gptq, moduleOf(v2, gptqConfig(4, 32, true, 'gptq_v2')), affineWeight(parts), 'v2', 1.2);
    expect(b.layout).toEqual(a.layout);
    expect([...b.words]).toEqual([...a.words]);
  });
});
