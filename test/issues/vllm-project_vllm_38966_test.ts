// https://github.com/vllm-project/vllm/issues/38966: a file says "gptq" but stores zero points of gptq_v2 (8, not 7).
import {UnsupportedError} from '../../src/errors.js';
import {gptq} from '../../src/formats/gptq.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/vllm#38966', () => {
  const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32, zero: 8}, 38966);
  const v2 = gptqTensors(parts, 'gptq_v2');

  it('a symmetric layer stored as v2 and declared v1 is right, and its origin reports both', () => {
    expect([...new Uint32Array(v2.qzeros!.data.buffer)].every((word) => word === 0x88888888)).toBeTrue();
    const {origin, layout} = expectExact(gptq, moduleOf(v2, gptqConfig(4, 32, true, 'gptq')), affineWeight(parts), 'sym', 1.2);
    expect(layout.zero).toEqual({kind: 'constant', value: 8});
    expect(origin.details).toEqual(jasmine.objectContaining({checkpointFormat: 'gptq_v2', declared: 'gptq'}));
    const {sym: _, ...silent} = gptqConfig(4, 32, true, 'gptq');
    expectExact(gptq, moduleOf(v2, silent), affineWeight(parts), 'config silent about sym', 1.2);
  });

  it('the same the other way round', () => {
    const module = moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(4, 32, true, 'gptq_v2'));
    const {origin} = expectExact(gptq, module, affineWeight(parts), 'sym', 1.2);
    expect(origin.details).toEqual(jasmine.objectContaining({checkpointFormat: 'gptq', declared: 'gptq_v2'}));
  });

  it('declared asymmetric it is refused, never shifted by one', () => {
    expect(() => gptq.lower(moduleOf(v2, gptqConfig(4, 32, false, 'gptq')))).toThrowError(
      UnsupportedError,
      /qzeros.*all 9.*all 8 by 'gptq_v2'/,
    );
  });
});
