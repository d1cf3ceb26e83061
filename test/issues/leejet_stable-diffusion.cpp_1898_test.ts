// https://github.com/leejet/stable-diffusion.cpp/issues/1898: a scale under another name was never applied.
import {UnusedTensorError} from '../../src/errors.js';
import {fp8} from '../../src/formats/fp8.js';
import {f32, moduleOf, tensor} from '../formats/packed_build.js';
import {expectExact} from '../formats/packed_support.js';

describe('leejet/stable-diffusion.cpp#1898', () => {
  const weight = tensor('F8_E4M3', [4, 64], new Uint8Array(256).fill(0x38));

  it('scale_weight is applied', () => {
    expectExact(fp8, moduleOf({weight, scale_weight: f32([], [0.5])}, null), new Float32Array(256).fill(0.5), 'scale_weight');
  });

  it('a scale of an unknown name is refused by it', () => {
    const tensors = {weight, weight_scale: f32([], [0.5]), scale_w: f32([], [0.5])};
    expect(() => fp8.validate(moduleOf(tensors, null))).toThrowError(UnusedTensorError, /scale_w/);
  });
});
