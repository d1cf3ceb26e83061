// https://github.com/microsoft/onnxruntime/issues/27995: declared K and N larger than the packed bytes were read out of bounds.
import {ShapeError} from '../../src/errors.js';
import {awq} from '../../src/formats/awq.js';
import {compressedPacked} from '../../src/formats/compressed_packed.js';
import {gptq} from '../../src/formats/gptq.js';
import {
  awqTensors,
  compressedConfig,
  gptqConfig,
  gptqTensors,
  moduleOf,
  packQuantizedTensors,
  packWeights,
  randomParts,
} from '../formats/packed_build.js';

describe('microsoft/onnxruntime#27995', () => {
  // Everything but the codes says 64 x 128; the codes hold 64 x 64.
  const large = randomParts({outDim: 64, inDim: 128, bits: 4, groupSize: 32, zero: 8}, 1);
  const small = randomParts({outDim: 64, inDim: 64, bits: 4, groupSize: 32, zero: 8}, 1);

  it('GPTQ: from the headers alone, with both sizes', () => {
    const tensors = {...gptqTensors(large, 'gptq'), qweight: gptqTensors(small, 'gptq').qweight!};
    expect(() => gptq.validate(moduleOf(tensors, gptqConfig(4, 32, true)))).toThrowError(
      ShapeError,
      /up_proj\.qweight.*16 rows: 128 inputs.*\[8,64\]/,
    );
  });

  it('AWQ: from the headers alone', () => {
    const tensors = {...awqTensors(large), qweight: awqTensors(small).qweight!};
    const config = {quant_method: 'awq', bits: 4, group_size: 32, zero_point: true};
    expect(() => awq.validate(moduleOf(tensors, config))).toThrowError(ShapeError, /up_proj\.scales.*\[2,64\].*\[4,64\]/);
  });

  it('compressed-tensors: before anything is lowered', () => {
    const tensors = {...packQuantizedTensors(large, false), weight_packed: packQuantizedTensors(small, false).weight_packed!};
    const module = moduleOf(tensors, compressedConfig('pack-quantized', packWeights(4, 32, true)));
    expect(() => compressedPacked.lower(module)).toThrowError(ShapeError, /weight_packed.*\[64, 16\].*weight_shape \[64, 128\].*\[64,8\]/);
  });
});
