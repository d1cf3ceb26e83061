// https://github.com/vllm-project/vllm/issues/54770: weight_scale and weight_scale_inv are different conventions.
import {UnsupportedError} from '../../src/errors.js';
import {fp8} from '../../src/formats/fp8.js';
import {f32, integers, moduleOf, seeded, tensor} from '../formats/packed_build.js';
import {compareFloats, expectExact, unpack} from '../formats/packed_support.js';

describe('vllm-project/vllm#54770', () => {
  const weight = tensor('F8_E4M3', [8, 64], Uint8Array.from(integers(512, 126, seeded(1))));
  const numbers = unpack(fp8.lower(moduleOf({weight, weight_scale: f32([], [1])}, null)));
  const scaled = numbers.map((v) => v * 0.125);

  it('the same weight under each name and convention is equal', () => {
    const divides = {quant_method: 'fp8', weight_scale_method: 'tensor', weight_scale_semantics: 'inverse'};
    expectExact(fp8, moduleOf({weight, weight_scale: f32([], [0.125])}, {quant_method: 'fp8'}), scaled, 'weight_scale');
    expectExact(fp8, moduleOf({weight, weight_scale_inv: f32([], [0.125])}, {quant_method: 'fp8'}), scaled, "DeepSeek's weight_scale_inv");
    const {layout} = expectExact(fp8, moduleOf({weight, weight_scale_inv: f32([], [8])}, divides), scaled, "GPTQModel's weight_scale_inv");
    expect(layout.scales[0]!.divide).toBeTrue();
    expect(compareFloats(scaled, numbers)).not.toBe('equal');
  });

  it('both are refused, and weight_scale_inv without a config', () => {
    const both = {weight, weight_scale: f32([], [0.125]), weight_scale_inv: f32([], [8])};
    expect(() => fp8.validate(moduleOf(both, {quant_method: 'fp8'}))).toThrowError(UnsupportedError, /weight_scale and weight_scale_inv/);
    const alone = moduleOf({weight, weight_scale_inv: f32([], [8])}, null);
    expect(() => fp8.validate(alone)).toThrowError(UnsupportedError, /weight_scale_inv.*config.*GPTQModel divides/);
  });
});
