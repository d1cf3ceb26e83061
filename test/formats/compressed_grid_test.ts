import {ShapeError} from '../../src/errors.js';
import {compressedFloat} from '../../src/formats/compressed_float.js';
import {compressedInt} from '../../src/formats/compressed_int.js';
import {compressedMxfp4} from '../../src/formats/compressed_mxfp4.js';
import {compressedMxfp8} from '../../src/formats/compressed_mxfp8.js';
import {compressedPacked} from '../../src/formats/compressed_packed.js';
import type {Format} from '../../src/formats/format.js';
import {
  affineWeight,
  compressedConfig,
  f32,
  type GptqParts,
  halfScales,
  i32,
  integers,
  moduleOf,
  packQuantizedTensors,
  packWeights,
  randomParts,
  seeded,
  tensor,
} from './packed_build.js';
import {expectExact} from './packed_support.js';

const packConfig = (p: GptqParts, sym: boolean) => compressedConfig('pack-quantized', packWeights(p.bits, p.groupSize, sym));

describe('compressed-tensors by hand-packed words', () => {
  it('pack-quantized: 1 to 8 bits, symmetric and not, groups, a short last group and channels', () => {
    for (const [outDim, inDim, groupSize] of [
      [48, 128, 32],
      [40, 160, 64],
      [33, 96, -1],
      [3, 104, 8],
      [7, 50, 32],
    ] as const) {
      for (let bits = 1; bits <= 8; bits++) {
        for (const sym of [true, false]) {
          const label = `[${outDim}, ${inDim}] groups of ${groupSize}, ${bits} bits, sym ${sym}`;
          const parts = randomParts({outDim, inDim, bits, groupSize, ...(sym ? {zero: 2 ** (bits - 1)} : {})}, bits);
          const module = moduleOf(packQuantizedTensors(parts, !sym), packConfig(parts, sym));
          expectExact(compressedPacked, module, affineWeight(parts), label, outDim > 32 ? 1.12 : 1.4);
        }
      }
    }
  });

  it('pack-quantized: a shape of 32-bit integers, as some checkpoints have it', () => {
    const parts = randomParts({outDim: 40, inDim: 96, bits: 4, groupSize: 32, zero: 8}, 8);
    const tensors = {...packQuantizedTensors(parts, false), weight_shape: i32([2], [40, 96])};
    expectExact(compressedPacked, moduleOf(tensors, packConfig(parts, true)), affineWeight(parts), 'I32', 1.12);
  });

  it('pack-quantized: without a config the width is that of the words, and one word of few codes is refused', () => {
    const parts = randomParts({outDim: 3, inDim: 40, bits: 4, groupSize: -1, zero: 8}, 9);
    expectExact(compressedPacked, moduleOf(packQuantizedTensors(parts, false), null), affineWeight(parts), 'of 40', 2);
    const short = randomParts({outDim: 3, inDim: 6, bits: 4, groupSize: -1, zero: 8}, 10);
    expect(() => compressedPacked.lower(moduleOf(packQuantizedTensors(short, false), null))).toThrowError(ShapeError, /weight_packed/);
  });

  it('pack-quantized: a group map in any order, one of only -1, and one that is out of range', () => {
    const random = seeded(5);
    const groupOf = integers(96, 3, random);
    const parts = randomParts({outDim: 64, inDim: 96, bits: 4, groupSize: 32, zero: 8, groupOf}, 6);
    const tensors = {...packQuantizedTensors(parts, false), weight_g_idx: i32([96], groupOf)};
    const {layout} = expectExact(compressedPacked, moduleOf(tensors, packConfig(parts, true)), affineWeight(parts), 'map', 1.12);
    expect([layout.ordered, layout.indexed]).toEqual([true, true]);
    const plain = randomParts({outDim: 64, inDim: 96, bits: 4, groupSize: 32, zero: 8}, 7);
    const unused = {...packQuantizedTensors(plain, false), weight_g_idx: i32([96], Array(96).fill(-1))};
    expectExact(compressedPacked, moduleOf(unused, packConfig(plain, true)), affineWeight(plain), 'unused map');
    const outside = {
      ...tensors,
      weight_g_idx: i32(
        [96],
        groupOf.map((g, k) => (k === 9 ? 3 : g)),
      ),
    };
    expect(() => compressedPacked.lower(moduleOf(outside, packConfig(parts, true)))).toThrowError(/weight_g_idx\[9\].*0 to 2.*3/);
  });

  it('pack-quantized without a config: width from the words, groups from the scales', () => {
    const parts = randomParts({outDim: 32, inDim: 96, bits: 3, groupSize: 32}, 8);
    expectExact(compressedPacked, moduleOf(packQuantizedTensors(parts, true), null), affineWeight(parts), 'no config', 1.12);
  });

  it('int-quantized: zero points, groups and rows that do not fill words', () => {
    for (const [outDim, inDim, groups] of [
      [32, 64, 1],
      [5, 33, 1],
      [16, 64, 2],
    ] as const) {
      const random = seeded(inDim);
      const codes = Int8Array.from(integers(outDim * inDim, 256, random));
      const scale = halfScales(outDim * groups, random);
      const zeros = Int8Array.from(integers(outDim * groups, 256, random));
      const weight = Float32Array.from(codes, (q, i) => {
        const at = Math.floor(i / inDim) * groups + Math.floor(((i % inDim) * groups) / inDim);
        return (q - zeros[at]!) * scale[at]!;
      });
      const tensors = {
        weight: tensor('I8', [outDim, inDim], codes),
        weight_scale: f32([outDim, groups], scale),
        weight_zero_point: tensor('I8', [outDim, groups], zeros),
      };
      const strategy = groups === 1 ? {strategy: 'channel'} : {strategy: 'group', group_size: inDim / groups};
      const config = compressedConfig('int-quantized', {num_bits: 8, type: 'int', symmetric: false, dynamic: false, ...strategy});
      expectExact(compressedInt, moduleOf(tensors, config), weight, `[${outDim}, ${inDim}]`, 1.4);
    }
  });

  it('naive-quantized is the same tensors under another name', () => {
    const int8 = {weight: tensor('I8', [4, 8], new Int8Array(32).fill(3)), weight_scale: f32([4, 1], [1, 2, 3, 4])};
    const ints = compressedConfig('naive-quantized', {num_bits: 8, type: 'int', strategy: 'channel', symmetric: true});
    expectExact(
      compressedInt,
      moduleOf(int8, ints),
      Float32Array.from({length: 32}, (_, i) => 3 * (1 + (i >> 3))),
      'int8',
      2,
    );
    const fp8 = {weight: tensor('F8_E4M3', [4, 8], new Uint8Array(32).fill(0x38)), weight_scale: f32([1], [2])};
    const floats = compressedConfig('naive-quantized', {num_bits: 8, type: 'float', strategy: 'tensor', symmetric: true});
    expectExact(compressedFloat, moduleOf(fp8, floats), new Float32Array(32).fill(2), 'fp8', 2);
  });

  it('zero points of older files are all 0 and come back; any other is refused', () => {
    const zeroPoint = (value: number) => tensor('F8_E4M3', [1], Uint8Array.of(value));
    const tensors = {weight: tensor('F8_E4M3', [4, 8], new Uint8Array(32).fill(0x40)), weight_scale: f32([1], [0.5])};
    const config = compressedConfig('float-quantized', {num_bits: 8, type: 'float', strategy: 'tensor', symmetric: true});
    expectExact(compressedFloat, moduleOf({...tensors, weight_zero_point: zeroPoint(0)}, config), new Float32Array(32).fill(1), 'zeros', 2);
    expect(() => compressedFloat.lower(moduleOf({...tensors, weight_zero_point: zeroPoint(8)}, config))).toThrowError(
      /weight_zero_point.*0x8/,
    );
  });

  it('e8m0 scales may have their own dtype, and 255 is refused with its place', () => {
    for (const dtype of ['U8', 'F8_E8M0']) {
      const scale = (code: number) => tensor(dtype, [2, 2], Uint8Array.of(127, 128, 126, code));
      const eight = (code: number) =>
        moduleOf({weight: tensor('F8_E4M3', [2, 64], new Uint8Array(128).fill(0x38)), weight_scale: scale(code)}, null);
      const four = (code: number) =>
        moduleOf({weight_packed: tensor('U8', [2, 32], new Uint8Array(64).fill(0x22)), weight_scale: scale(code)}, null);
      const expected = Float32Array.from({length: 128}, (_, i) => [1, 2, 0.5, 8][i >> 5]!);
      const cases: [Format, (code: number) => ReturnType<typeof eight>][] = [
        [compressedMxfp8, eight],
        [compressedMxfp4, four],
      ];
      for (const [format, make] of cases) {
        expectExact(format, make(130), expected, `${format.name} ${dtype}`, 1.3);
        expect(() => format.lower(make(255))).toThrowError(/weight_scale\[1, 1\].*finite.*0xff/);
      }
    }
  });

  it('refuses what contradicts the config, by name', () => {
    const parts = randomParts({outDim: 32, inDim: 64, bits: 4, groupSize: 32, zero: 8}, 9);
    const tensors = packQuantizedTensors(parts, false);
    const weights = packWeights(4, 32, true);
    const check = (config: Record<string, unknown>, name?: string) => () => compressedPacked.validate(moduleOf(tensors, config, name));
    expect(check(compressedConfig('float-quantized', weights))).toThrowError(/pack-quantized.*'float-quantized'/);
    expect(check(compressedConfig('pack-quantized', weights), 'lm_head')).toThrowError(/lm_head.*ignore 'lm_head'/);
    expect(check(compressedConfig('pack-quantized', {...weights, groupsize: 64}))).toThrowError(/groupsize.*Did you mean 'group_size'/);
    expect(check(compressedConfig('pack-quantized', weights, {transform_config: {config_groups: {a: 1}}}))).toThrowError(
      /transform_config/,
    );
    expect(check(compressedConfig('pack-quantized', weights, {sparsity_config: {format: 'sparse-24-bitmask'}}))).toThrowError(
      /sparsity_config/,
    );
    const eight = moduleOf(tensors, compressedConfig('pack-quantized', packWeights(8, 32, true)));
    expect(() => compressedPacked.lower(eight)).toThrowError(/weight_packed.*\[32, 16\].*8 bits.*\[32,8\]/);
  });
});
