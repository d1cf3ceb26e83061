// https://github.com/NVIDIA/Model-Optimizer/issues/1633: scale bytes 0x7F and 0xFF mean NaN and poisoned the layer.
import {FileFormatError} from '../../src/errors.js';
import {compressedNvfp4} from '../../src/formats/nvfp4.js';
import {f32, moduleOf, tensor} from '../formats/packed_build.js';

describe('NVIDIA/Model-Optimizer#1633', () => {
  it('one NaN among e4m3 scales is refused with its layer and index', () => {
    for (const nan of [0x7f, 0xff]) {
      const scales = Uint8Array.from({length: 8}, (_, i) => (i === 5 ? nan : 0x38));
      const tensors = {
        weight_packed: tensor('U8', [2, 32], new Uint8Array(64)),
        weight_scale: tensor('F8_E4M3', [2, 4], scales),
        weight_global_scale: f32([1], [2]),
      };
      expect(() => compressedNvfp4.lower(moduleOf(tensors, null))).toThrowError(
        FileFormatError,
        new RegExp(`model\\.layers\\.0\\.mlp\\.up_proj\\.weight_scale\\[1, 1\\].*0x${nan.toString(16)}`),
      );
    }
  });
});
