// https://github.com/vllm-project/vllm/issues/17862: zero points stored one an element were treated as packed.
import {ShapeError} from '../../src/errors.js';
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
  tensor,
} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('vllm-project/vllm#17862', () => {
  const parts = randomParts({outDim: 16, inDim: 64, bits: 4, groupSize: 32}, 17862);
  const weight = affineWeight(parts);

  it('GPTQ: [groups, outputs] in int8 or int32 is one an element, by shape', () => {
    const packed = gptqTensors(parts, 'gptq_v2');
    const int8 = {...packed, qzeros: tensor('I8', [2, 16], Int8Array.from(parts.zeros.flat()))};
    const int32 = {...packed, qzeros: tensor('I32', [2, 16], Int32Array.from(parts.zeros.flat()))};
    for (const tensors of [packed, int8, int32]) {
      expectExact(gptq, moduleOf(tensors, gptqConfig(4, 32, false, 'gptq_v2')), weight, tensors.qzeros!.dtype, 1.2);
    }
  });

  it('GPTQ: any other shape is refused with both that would do', () => {
    const qzeros = tensor('I8', [2, 2], new Int8Array(4));
    const module = moduleOf({...gptqTensors(parts, 'gptq_v2'), qzeros}, gptqConfig(4, 32, false, 'gptq_v2'));
    expect(() => gptq.validate(module)).toThrowError(ShapeError, /qzeros.*int32 \[2,2\].*packed.*\[2, 16\] \(one an element\).*I8 \[2,2\]/);
  });

  it('compressed-tensors: int8 [outputs, groups] of older files beside the packed ones', () => {
    const packed = packQuantizedTensors(parts, true);
    const signed = Int8Array.from({length: 32}, (_, i) => parts.zeros[i % 2]![i >> 1]! - 8);
    const config = compressedConfig('pack-quantized', packWeights(4, 32, false));
    for (const tensors of [packed, {...packed, weight_zero_point: tensor('I8', [16, 2], signed)}]) {
      expectExact(compressedPacked, moduleOf(tensors, config), weight, tensors.weight_zero_point!.dtype, 1.2);
    }
  });
});
