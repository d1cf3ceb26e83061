import {decodeTable} from '../../kernels/float_codes.js';
import type {FileTensor} from '../../src/formats/format.js';
import {fp8} from '../../src/formats/fp8.js';
import {modeloptNvfp4} from '../../src/formats/nvfp4.js';
import {f32, integers, moduleOf, seeded, tensor} from './packed_build.js';
import {compareFloats, expectExact, unpack} from './packed_support.js';

const TYPES = {
  F8_E4M3: 'float8_e4m3fn',
  F8_E5M2: 'float8_e5m2',
  F8_E4M3FNUZ: 'float8_e4m3fnuz',
  F8_E5M2FNUZ: 'float8_e5m2fnuz',
} as const;

/** Every code of the type that is a number, over and over, in an [N, K] weight. */
function everyCode(dtype: keyof typeof TYPES, outDim: number, inDim: number): {weight: FileTensor; numbers: number[]} {
  const table = decodeTable(TYPES[dtype]);
  const codes = Array.from({length: 256}, (_, c) => c).filter((c) => !Number.isNaN(table[c]!));
  const data = Uint8Array.from({length: outDim * inDim}, (_, i) => codes[i % codes.length]!);
  return {weight: tensor(dtype, [outDim, inDim], data), numbers: Array.from(data, (c) => table[c]!)};
}

const single = (outDim: number, inDim: number): FileTensor =>
  tensor('F8_E4M3', [outDim, inDim], Uint8Array.from(integers(outDim * inDim, 127, seeded(outDim))));

describe('fp8 by hand', () => {
  for (const dtype of Object.keys(TYPES) as (keyof typeof TYPES)[]) {
    it(`${dtype}: every code`, () => {
      const {weight, numbers} = everyCode(dtype, 16, 64);
      const module = moduleOf({weight, weight_scale: f32([], [0.5])}, null);
      expectExact(
        fp8,
        module,
        Float32Array.from(numbers, (v) => v * 0.5),
        dtype,
        1.06,
      );
    });
  }

  it('scale shapes: one, an output, an input column, blocks with ragged edges', () => {
    const [outDim, inDim] = [6, 10];
    const weight = single(outDim, inDim);
    const numbers = Array.from(weight.data, (c) => decodeTable('float8_e4m3fn')[c]!);
    const powers = (count: number) => Array.from({length: count}, (_, i) => 2 ** (i - 3));
    const block = {quant_method: 'fp8', weight_block_size: [4, 4]};
    const cases: [number[], (n: number, k: number) => number, object | null][] = [
      [[], () => 0, null],
      [[1], () => 0, null],
      [[1, 1], () => 0, null],
      [[outDim], (n) => n, null],
      [[outDim, 1], (n) => n, null],
      [[1, inDim], (_, k) => k, null],
      [[2, 3], (n, k) => 3 * (n >> 2) + (k >> 2), block],
    ];
    for (const [shape, at, config] of cases) {
      const scales = powers(shape.reduce((a, b) => a * b, 1));
      const module = moduleOf({weight, weight_scale: f32(shape, scales)}, config as Record<string, unknown> | null);
      const expected = Float32Array.from(numbers, (v, i) => v * scales[at(Math.floor(i / inDim), i % inDim)]!);
      expectExact(fp8, module, expected, `[${shape}]`, 2);
    }
    const refused = (shape: number[]) => () =>
      fp8.validate(moduleOf({weight, weight_scale: f32(shape, powers(shape[0]! * (shape[1] ?? 1)))}, null));
    expect(refused([10])).toThrowError(/weight_scale.*\[6, 10\] weight.*\[10\].*transposed/);
    expect(refused([2, 3])).toThrowError(/\[2,3\].*config/);
  });

  it('a fnuz type is used only where the dtype or the config says so', () => {
    const weight = tensor('F8_E4M3', [1, 4], Uint8Array.of(0x38, 0x40, 0x7f, 0x01));
    const scale = f32([1], [1]);
    const config = {quant_method: 'fp8', fmt: 'e4m3fnuz'};
    const lowered = fp8.lower(moduleOf({weight, weight_scale: scale}, config));
    // 0x7f is 240 in fnuz, where the bias is one more; 0x38 is 1 in e4m3fn and 0.5 here.
    expect([...unpack(lowered)]).toEqual([0.5, 1, 240, 2 ** -10]);
    expect(() => fp8.lower(moduleOf({weight, weight_scale: scale}, {quant_method: 'fp8', fmt: 'e4m3'}))).toThrowError(
      /weight\[0, 2\].*0x7f, NaN/,
    );
    expect(() => fp8.lower(moduleOf({weight, weight_scale: scale}, {quant_method: 'fp8', fmt: 'e5m2'}))).toThrowError(
      /fmt.*F8_E4M3.*'e5m2'/,
    );
  });

  it('static input scales of every spelling become the input scheme and come back', () => {
    const expected = {dtype: 'float8_e4m3fn', origin: 'static', granularity: 'tensor', scale: 0.25} as const;
    const weight = single(8, 16);
    const cases: [Record<string, FileTensor>, Record<string, unknown> | null][] = [
      [
        {weight_scale: f32([], [2]), input_scale: f32([], [0.25])},
        {quant_method: 'fp8', activation_scheme: 'static'},
      ],
      [
        {weight_scale: f32([], [2]), input_scale: f32([], [0.25])},
        {quant_method: 'modelopt', quant_algo: 'FP8'},
      ],
      [{scale_weight: f32([], [2]), scale_input: f32([], [0.25])}, null],
    ];
    const doubled = Float32Array.from(weight.data, (c) => 2 * decodeTable('float8_e4m3fn')[c]!);
    for (const [scales, config] of cases) {
      const {inputScheme} = expectExact(fp8, moduleOf({weight, ...scales}, config), doubled, Object.keys(scales).join(), 2);
      expect(inputScheme).toEqual(expected);
    }
    expect(() =>
      fp8.validate(moduleOf({weight, weight_scale: f32([], [2])}, {quant_method: 'fp8', activation_scheme: 'static'})),
    ).toThrowError(/input_scale/);
  });

  it("FBGEMM's bound in the file: read, compared with the config, written again", () => {
    const weight = single(8, 16);
    const tensors = {weight, weight_scale: f32([8, 1], Array(8).fill(1)), input_scale_ub: f32([1], [1200])};
    const numbers = Float32Array.from(weight.data, (c) => decodeTable('float8_e4m3fn')[c]!);
    const {inputScheme} = expectExact(fp8, moduleOf(tensors, {quant_method: 'fbgemm_fp8', activation_scale_ub: 1200}), numbers, 'bound', 2);
    expect(inputScheme!.scaleUb).toBe(1200);
    expect(() => fp8.lower(moduleOf(tensors, {quant_method: 'fbgemm_fp8', activation_scale_ub: 40}))).toThrowError(
      /input_scale_ub.*40.*1200/,
    );
    expect(() => fp8.validate(moduleOf(tensors, {quant_method: 'fp8'}))).toThrowError(/input_scale_ub/);
  });

  it('NVFP4 of Model Optimizer has a multiplier', () => {
    const weight = tensor(
      'U8',
      [1, 16],
      Uint8Array.from({length: 16}, (_, i) => i * 17),
    );
    const weight_scale = tensor('F8_E4M3', [1, 2], Uint8Array.of(0x38, 0x40));
    const tensors = {weight, weight_scale, weight_scale_2: f32([], [0.5]), input_scale: f32([], [0.125])};
    const config = {quant_method: 'modelopt', quant_algo: 'NVFP4', group_size: 16};
    const magnitudes = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
    const expected = Float32Array.from({length: 32}, (_, i) => magnitudes[(i >> 1) & 7]! * (i >> 4 ? -1 : 0.5));
    const lowered = expectExact(modeloptNvfp4, moduleOf(tensors, config), expected, 'multiplier', 2);
    expect(lowered.inputScheme!.globalScale).toBe(8);
    expect(compareFloats(unpack(lowered), expected)).toBe('equal');
  });
});
