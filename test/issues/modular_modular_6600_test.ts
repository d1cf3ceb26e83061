// https://github.com/modular/modular/issues/6600: NVFP4's global scale is a divisor in one writer's files and a multiplier in another's.
import {UnsupportedError} from '../../src/errors.js';
import {compressedNvfp4, modeloptNvfp4} from '../../src/formats/nvfp4.js';
import {f32, integers, moduleOf, seeded, tensor} from '../formats/packed_build.js';
import {compareFloats, expectExact, unpack} from '../formats/packed_support.js';

describe('modular/modular#6600', () => {
  const codes = tensor('U8', [4, 64], Uint8Array.from(integers(256, 256, seeded(1))));
  const scales = tensor(
    'F8_E4M3',
    [4, 8],
    Uint8Array.from({length: 32}, (_, i) => 0x38 + i),
  );
  const modelopt = {quant_method: 'modelopt', quant_algo: 'NVFP4'};
  const divided = (value: number) => moduleOf({weight_packed: codes, weight_scale: scales, weight_global_scale: f32([1], [value])}, null);
  const multiplied = (value: number) => moduleOf({weight: codes, weight_scale: scales, weight_scale_2: f32([], [value])}, modelopt);

  it('the same weight under both conventions is equal', () => {
    // A power of two, so that dividing and multiplying round alike.
    const a = unpack(expectExact(compressedNvfp4, divided(4096), null, 'divisor'));
    const b = unpack(expectExact(modeloptNvfp4, multiplied(1 / 4096), null, 'multiplier'));
    expect(compareFloats(a, b)).toBe('equal');
    expect(Math.max(...a)).toBeCloseTo((6 * 15) / 4096, 6);
  });

  it('3584 and 0.00028 are near, each by its own rounding', () => {
    const a = unpack(compressedNvfp4.lower(divided(3584)));
    const b = unpack(modeloptNvfp4.lower(multiplied(Math.fround(1 / 3584))));
    const worst = a.reduce((max, v, i) => Math.max(max, v === 0 ? 0 : Math.abs(b[i]! / v - 1)), 0);
    expect(worst).toBeLessThan(3 * 2 ** -24);
  });

  it('a number of the other convention is refused by name', () => {
    expect(() => compressedNvfp4.lower(divided(0.00028))).toThrowError(UnsupportedError, /weight_global_scale.*divisor.*weight_scale_2/);
    expect(() => modeloptNvfp4.lower(multiplied(3584))).toThrowError(UnsupportedError, /weight_scale_2.*multiplier.*weight_global_scale/);
  });
});
