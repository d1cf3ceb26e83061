// https://github.com/vllm-project/vllm/issues/48552: AWQ packs along the output axis; the code assumed the input axis.
import {ShapeError} from '../../src/errors.js';
import {awq} from '../../src/formats/awq.js';
import {affineWeight, awqTensors, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/vllm#48552', () => {
  const config = {quant_method: 'awq', bits: 4, group_size: 32, zero_point: true, version: 'gemm'};
  const parts = randomParts({outDim: 24, inDim: 128, bits: 4, groupSize: 32}, 48552);

  it('128 to 24, no multiple of 32', () => {
    expectExact(awq, moduleOf(awqTensors(parts), config), affineWeight(parts), '[24, 128]', 1.2);
  });

  it('codes packed along the inputs are refused by the name of the axis', () => {
    const {qweight, qzeros, scales} = gptqTensors(parts, 'gptq_v2') as Record<
      'qweight' | 'qzeros' | 'scales',
      ReturnType<typeof awqTensors>[string]
    >;
    expect(() => awq.validate(moduleOf({qweight, qzeros, scales}, config))).toThrowError(
      ShapeError,
      /qweight.*\[inputs, outputs \/ 8\].*along the output axis.*Packed along the inputs it is GPTQ/,
    );
  });
});
