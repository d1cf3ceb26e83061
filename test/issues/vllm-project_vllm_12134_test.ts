// https://github.com/vllm-project/vllm/issues/12134: e4m3fnuz and e4m3fn were confused; byte 0x80 differs, and values by two.
import {decodeTable} from '../../kernels/float_codes.js';
import {FileFormatError} from '../../src/errors.js';
import {fp8} from '../../src/formats/fp8.js';
import {f32, moduleOf, tensor} from '../formats/packed_build.js';
import {unpack} from '../formats/packed_support.js';

describe('vllm-project/vllm#12134', () => {
  const codes = [0x00, 0x80, 0x38, 0x7e];

  it('the bytes decode as e4m3fn', () => {
    expect([...codes, 0x7f].map((c) => decodeTable('float8_e4m3fn')[c]!)).toEqual([0, -0, 1, 448, Number.NaN]);
    expect(decodeTable('float8_e4m3fnuz')[0x80]).toBeNaN();
  });

  it('fnuz only where dtype or config says so; a NaN code of the type is refused', () => {
    const module = (dtype: string, bytes: number[], config: Record<string, unknown> | null = null) =>
      moduleOf({weight: tensor(dtype, [1, bytes.length], Uint8Array.from(bytes)), weight_scale: f32([1], [1])}, config);
    const fnuz = {quant_method: 'fp8', fmt: 'float8_e4m3fnuz'};
    expect([...unpack(fp8.lower(module('F8_E4M3', codes)))]).toEqual([0, -0, 1, 448]);
    expect([...unpack(fp8.lower(module('F8_E4M3FNUZ', [0x00, 0x38, 0x7f])))]).toEqual([0, 0.5, 240]);
    expect([...unpack(fp8.lower(module('F8_E4M3', [0x00, 0x38, 0x7f], fnuz)))]).toEqual([0, 0.5, 240]);
    expect(() => fp8.lower(module('F8_E4M3', [...codes, 0x7f]))).toThrowError(
      FileFormatError,
      /weight\[0, 4\].*0x7f, NaN in float8_e4m3fn/,
    );
    expect(() => fp8.lower(module('F8_E4M3', codes, fnuz))).toThrowError(FileFormatError, /weight\[0, 1\].*0x80, NaN in float8_e4m3fnuz/);
  });
});
