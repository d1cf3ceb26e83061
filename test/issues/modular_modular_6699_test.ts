// https://github.com/modular/modular/issues/6699: a scale of shape [1] against one of [].
import {fp8} from '../../src/formats/fp8.js';
import {f32, integers, moduleOf, seeded, tensor} from '../formats/packed_build.js';
import {compareFloats, expectExact, unpack} from '../formats/packed_support.js';

describe('modular/modular#6699', () => {
  it('[] and [1] are equal, and so are [N] and [N, 1]', () => {
    const weight = tensor('F8_E4M3', [8, 64], Uint8Array.from(integers(512, 126, seeded(1))));
    const of = (shape: number[]) => {
      const scale = f32(
        shape,
        Array.from({length: shape[0] ?? 1}, (_, n) => 0.5 / (n + 1)),
      );
      return unpack(expectExact(fp8, moduleOf({weight, weight_scale: scale}, null), null, `[${shape}]`, 1.1));
    };
    expect(compareFloats(of([]), of([1]))).toBe('equal');
    expect(compareFloats(of([8]), of([8, 1]))).toBe('equal');
    expect(compareFloats(of([]), of([8]))).not.toBe('equal');
  });
});
