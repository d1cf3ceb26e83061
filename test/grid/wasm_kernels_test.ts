/** Layouts that the wasm kernels treat each in a way of its own, with rows left over: float codes in registers, scales and planes of every kind, 8-bit x. */
import * as tf from '@tensorflow/tfjs';
import type {FloatType, WeightLayout} from '../../kernels/layout.js';
import {chooseWasm, type DotKind} from '../../kernels/wasm/choose.js';
import {heapOf} from '../../kernels/wasm/module.js';
import {partsOf} from '../../kernels/words.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {onWasm} from '../support/on_wasm.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {buildWeight, type NamedWeight, randomX, type Structure} from './layouts.js';

const float = (type: FloatType) => ({kind: 'float', type}) as const;

const STRUCTURES: Readonly<Record<string, Structure>> = {
  'float16 K=176': {n: 5, k: 176, planes: [16], decode: float('float16')},
  'float16, groups': {n: 4, k: 96, planes: [16], decode: float('float16'), scales: [['float32', 1, 16]]},
  'bfloat16 K=272': {n: 7, k: 272, planes: [16], decode: float('bfloat16')},
  'float32 K=48': {n: 3, k: 48, planes: [32], decode: float('float32'), scales: [['float32', 1, 48]]},
  'e4m3fn e8m0 g32': {n: 9, k: 288, planes: [8], decode: float('float8_e4m3fn'), scales: [['float8_e8m0fnu', 1, 32]]},
  'e4m3fn blocks 4x128': {n: 11, k: 384, planes: [8], decode: float('float8_e4m3fn'), scales: [['float32', 4, 128]]},
  'e4m3fnuz, divide': {n: 5, k: 144, planes: [8], decode: float('float8_e4m3fnuz'), scales: [['bfloat16', 5, 144, true]]},
  'e4m3fn K=1536': {n: 6, k: 1536, planes: [8], decode: float('float8_e4m3fn'), scales: [['float32', 1, 1536]]},
  'e4m3fn g16': {n: 5, k: 80, planes: [8], decode: float('float8_e4m3fn'), scales: [['float32', 1, 16]]},
  'e4m3fn ordered': {n: 4, k: 64, planes: [8], decode: float('float8_e4m3fn'), scales: [['float32', 1, 64]], ordered: true},
};

const f16 = 'float16' as const;

/** Sixteen integers, unevenly spaced, that span what is given. */
const table = (span: number) =>
  ({kind: 'table', table: Array.from({length: 16}, (_, i) => Math.round((span * i * (i + 9)) / 360) - ((span + 1) >> 1))}) as const;

/** K a multiple of 64: what bytes of x are multiplied with where the engine can. */
const CODES: Readonly<Record<string, Structure>> = {
  'int1 g32': {n: 7, k: 192, planes: [1], zero: 1, scales: [[f16, 1, 32]]},
  'int2 g64 zeros': {n: 7, k: 320, planes: [2], zero: [1, 64], scales: [[f16, 1, 64]]},
  'int3 g16 zeros': {n: 6, k: 192, planes: [2, 1], zero: [1, 16], scales: [[f16, 1, 16]]},
  'int3 g128': {n: 3, k: 384, planes: [2, 1], zero: 4, scales: [[f16, 1, 128]]},
  'int4 g16 zeros': {n: 9, k: 192, planes: [4], zero: [1, 16], scales: [[f16, 1, 16]]},
  'int4 g32': {n: 6, k: 160, planes: [4], zero: 8, scales: [[f16, 1, 32]]},
  'int4 g64 offset': {n: 7, k: 448, planes: [4], scales: [[f16, 1, 64]], offsets: [[f16, 1, 64]]},
  'int4 g32, scales of two rows': {n: 5, k: 192, planes: [4], zero: 8, scales: [[f16, 2, 32]]},
  'int5 g32 offset': {n: 5, k: 192, planes: [4, 1], zero: 16, scales: [[f16, 1, 32]], offsets: [[f16, 1, 32]]},
  'int6 g64 zeros': {n: 9, k: 192, planes: [4, 2], zero: [1, 64], scales: [[f16, 1, 64]]},
  'int7 g16': {n: 1, k: 192, planes: [4, 2, 1], zero: 64, scales: [[f16, 1, 16]]},
  'int8 g32 zeros': {n: 6, k: 96, planes: [8], zero: [1, 32], scales: [['bfloat16', 1, 32]]},
  'table of bytes g32': {n: 7, k: 192, planes: [4], decode: table(255), scales: [[f16, 1, 32]]},
  'table that spans 127 g32': {n: 5, k: 192, planes: [4], decode: table(127), scales: [[f16, 1, 32]]},
  'table that spans 63 g16': {n: 9, k: 192, planes: [4], decode: table(63), scales: [[f16, 1, 16]]},
  'e2m1 g32': {n: 6, k: 160, planes: [4], decode: float('float4_e2m1fn'), scales: [['float8_e8m0fnu', 1, 32]]},
  'e2m1 g16, divide': {
    n: 5,
    k: 128,
    planes: [4],
    decode: float('float4_e2m1fn'),
    scales: [
      ['float8_e4m3fn', 1, 16],
      ['float32', 5, 128, true],
    ],
  },
};

describe('kernels on wasm alone', () => {
  const variants = onWasm();

  async function check({layout, words}: NamedWeight, m: number): Promise<void> {
    const weight = QuantizedWeight.fromWords(layout, words.slice());
    const [n, k] = weight.shape;
    const dense = weight.dequantize();
    const w = await dense.data<'float32'>();
    const values = randomX(m, k, m);
    const x = tf.tensor2d(values, [m, k]);
    const expected = productOf(values, w, m, n);
    const norms = magnitudesOf(values, w, m, n);
    for (const precision of ['auto', 'float32'] as const) {
      const y = ops.quantizedMatMul(x, weight, {inputPrecision: precision});
      expect(rowErrors(await y.data(), expected, n, norms)).toBeLessThan(variants.choose(layout, m, precision).bound);
      y.dispose();
    }
    tf.dispose([x, dense]);
    weight.dispose();
  }

  /** Unpacks to what the record says. */
  async function expectKnown(layout: WeightLayout, words: Int32Array): Promise<void> {
    const weight = QuantizedWeight.fromWords(layout, words.slice());
    const all = weight.dequantize();
    // Zeros have one sign in what they are compared with.
    expect((await all.data<'float32'>()).map((v) => v + 0)).toEqual(unpacked({layout, words}));
    all.dispose();
    weight.dispose();
  }

  it('take 8-bit floats in the longest blocks that share a scale, and none of fewer columns than an iteration has', () => {
    const chosen = (name: string) => {
      const {variant, block} = chooseWasm(buildWeight(name, STRUCTURES[name] as Structure, 1).layout, 1, 'auto', null);
      return `${variant} ${block}`;
    };
    expect(chosen('e4m3fn K=1536')).toBe('gemv_float32 256');
    expect(chosen('e4m3fn blocks 4x128')).toBe('gemv_float32 128');
    expect(chosen('e4m3fn e8m0 g32')).toBe('gemv_float32 32');
    expect(chosen('e4m3fn g16')).toBe('float32 0');
    expect(chosen('float16, groups')).toBe('gemv_float32 16');
  });

  Object.entries({...STRUCTURES, ...CODES}).forEach(([name, structure], i) => {
    for (const variant of ['auto', ...variants.names]) {
      it(`multiplies ${name}, ${variant}`, async () => {
        const named = buildWeight(name, structure, 500 + i);
        variants.force(variant === 'auto' ? null : variant);
        for (const m of [1, 2, 5]) await check(named, m);
      });
    }
  });

  Object.entries(CODES).forEach(([name, structure], i) => {
    for (const variant of ['auto', ...variants.names.filter((v) => v.endsWith('int16'))]) {
      it(`multiplies ${name} with an x of 8-bit integers without a further error, ${variant}`, async () => {
        const {layout, words} = buildWeight(name, structure, 700 + i);
        const weight = QuantizedWeight.fromWords(layout, words.slice());
        const [n, k] = weight.shape;
        variants.force(variant === 'auto' ? null : variant);
        for (const m of [1, 3]) {
          const x = tf.tensor2d(randomX(m, k, m), [m, k]);
          for (const columns of [null, 32, 16]) {
            const granularity = columns === null ? ({granularity: 'colwise'} as const) : ({granularity: 'block', block: columns} as const);
            const inputQuantization = {dtype: 'int8', origin: 'dynamic', ...granularity} as const;
            const y = ops.quantizedMatMul(x, weight, {inputQuantization});
            const exact = ops.quantizedMatMul(x, weight, {inputQuantization, inputPrecision: 'float32'});
            const squares = tf.tidy(() => {
              const [xs, w] = [tf.square(x), tf.square(weight.dequantize())];
              return tf.sqrt(tf.matMul(xs, w, false, true));
            });
            expect(rowErrors(await y.data(), await exact.data(), n, await squares.data())).toBeLessThan(2e-6);
            tf.dispose([y, exact, squares]);
          }
          x.dispose();
        }
        weight.dispose();
      });
    }
  });

  // How engines multiply bytes differs, and a machine has one: sums of 32 bits, then of 16.
  for (const dots of [1, 0] as const) {
    for (const name of ['auto', 'gemv_dots_int16']) {
      it(`multiplies every kind of code where bytes are multiplied in ${dots === 1 ? 'one instruction' : 'several'}, ${name}`, async () => {
        const heap = heapOf(tf.backend()) as {dots: DotKind};
        const own = heap.dots;
        if (own === -1) return pending('this engine has no relaxed SIMD');
        variants.force(name === 'auto' ? null : name);
        heap.dots = dots;
        try {
          for (const [i, [codes, structure]] of Object.entries(CODES).entries()) {
            const named = buildWeight(codes, structure, 900 + i);
            await check(named, 1);
          }
        } finally {
          heap.dots = own;
        }
      });
    }
  }

  it('multiplies e4m3 codes whose first columns say nothing of the subnormals behind them, and rows of subnormals alone', async () => {
    const {layout, words} = buildWeight('w', {n: 7, k: 544, planes: [8], decode: float('float8_e4m3fn'), scales: [['float32', 1, 32]]}, 9);
    const {codes} = partsOf(layout, words);
    const bytes = new Uint8Array(codes.buffer, codes.byteOffset, 7 * 544);
    // Rows of a quad are two apart: 0, 2, 4 and 6 have none in front, of 1, 3, 5 one has nothing else and one some.
    for (const n of [0, 1, 2, 4, 6]) for (let k = 0; k < 256; k++) bytes[544 * n + k] = ((bytes[544 * n + k] as number) & 0xbf) | 0x20;
    for (let k = 0; k < 544; k++) bytes[544 * 3 + k] = (bytes[544 * 3 + k] as number) & 0x87;
    await check({name: 'w', layout, words}, 1);
  });

  for (const type of ['float8_e4m3fn', 'float8_e4m3fnuz'] as const) {
    it(`knows all 256 codes of ${type}, beside their neighbours and beside others`, async () => {
      const {layout, words} = buildWeight('w', {n: 3, k: 256, planes: [8], decode: float(type)}, 11);
      const {codes} = partsOf(layout, words);
      // Ordinary ones are decoded eight at a time.
      const bytes = new Uint8Array(codes.buffer, codes.byteOffset, 3 * 256);
      bytes.forEach((_, i) => {
        bytes[i] = (i * [1, 37, 99][i >> 8]!) & 255;
      });
      await expectKnown(layout, words);
    });
  }

  it('knows all 65536 codes of float16, beside their neighbours and beside others', async () => {
    const {layout, words} = buildWeight('w', {n: 128, k: 1024, planes: [16], decode: float('float16')}, 12);
    const {codes} = partsOf(layout, words);
    // Ordinary ones are decoded eight at a time.
    const halves = new Uint16Array(codes.buffer, codes.byteOffset, 128 * 1024);
    halves.forEach((_, i) => {
      halves[i] = i < 65536 ? i : i * 40503;
    });
    await expectKnown(layout, words);
  });

  it('gives a row of e4m3 codes the same bits beside rows of subnormals', async () => {
    for (const group of [32, 64, 1280]) await sameBits(group);
  });

  async function sameBits(group: number): Promise<void> {
    const k = 1280;
    const decode = float('float8_e4m3fn');
    const {layout, words} = buildWeight('w', {n: 4, k, planes: [8], decode, scales: [['float32', 1, group]]}, 10);
    const {codes} = partsOf(layout, words);
    const bytes = new Uint8Array(codes.buffer, codes.byteOffset, 4 * k);
    const x = tf.tensor2d(randomX(1, k, 10), [1, k]);
    const first: number[] = [];
    for (const mask of [0xbf, 0x87]) {
      // Of ordinary size with 0x20, subnormals without; row 0 has none.
      for (let i = 0; i < bytes.length; i++)
        bytes[i] = ((bytes[i] as number) & (i < k ? 0xbf : mask)) | (i < k || mask === 0xbf ? 0x20 : 1);
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      const y = ops.quantizedMatMul(x, weight);
      first.push((await y.data())[0] as number);
      y.dispose();
      weight.dispose();
    }
    expect(first[1]).toBe(first[0] as number);
    x.dispose();
  }

  it('multiplies float16 scales and offsets of every exponent and 0, where the first row has subnormals and where it says nothing of others', async () => {
    for (const offsets of [[], [[f16, 1, 32] as const]]) {
      const {layout, words} = buildWeight('w', {n: 37, k: 160, planes: [4], zero: 8, scales: [[f16, 1, 32]], offsets}, 9);
      const {scales, offsets: added} = partsOf(layout, words);
      for (const begin of [0, 5]) {
        for (const entries of [scales[0] as Uint16Array, ...(added as Uint16Array[])]) {
          // Signs in turns; from 0 by way of 2^-24 to 2^8.
          for (let i = begin; i < entries.length; i++) entries[i] = ((i & 1) << 15) | (i % 7 === 0 ? 0 : (i * 149) % 0x5c00);
          entries.fill(0x3c00, 0, begin);
        }
        for (const variant of ['gemv_dots_int16', 'gemv_int16']) {
          variants.force(variant);
          await check({name: 'w', layout, words}, 1);
        }
      }
    }
  });

  it('leaves out of a row without a zero what a zero would meet, where sums of x are infinite', async () => {
    const {layout, words} = buildWeight('w', {n: 600, k: 160, planes: [4], scales: [[f16, 1, 32]]}, 9);
    partsOf(layout, words).scales[0]?.fill(0x1400);
    const weight = QuantizedWeight.fromWords(layout, words);
    const dense = weight.dequantize();
    // 32 of them are beyond float32.
    const values = new Float32Array(160).fill(2e37);
    const x = tf.tensor2d(values, [1, 160]);
    const expected = productOf(values, await dense.data<'float32'>(), 1, 600);
    for (const variant of ['gemv_dots_int16', 'gemv_int16']) {
      variants.force(variant);
      const y = ops.quantizedMatMul(x, weight);
      expect(rowErrors(await y.data(), expected, 600)).toBeLessThan(1e-4);
      y.dispose();
    }
    tf.dispose([x, dense]);
    weight.dispose();
  });

  it('multiplies by every scale of e8m0, the subnormal one and NaN', async () => {
    const {layout, words} = buildWeight(
      'w',
      {n: 16, k: 512, planes: [8], decode: float('float8_e4m3fn'), scales: [['float8_e8m0fnu', 1, 32]]},
      8,
    );
    const {codes, scales} = partsOf(layout, words);
    codes.fill(0x38383838);
    scales[0]?.set(Array.from({length: 256}, (_, i) => i));
    const weight = QuantizedWeight.fromWords(layout, words);
    // Row b of x has the columns of block b alone; all numbers of the weight are 1 times their scale.
    const x = tf.tensor2d(
      Array.from({length: 16 * 512}, (_, i) => (i >> 9 === (i & 511) >> 5 ? 2 ** 64 : 0)),
      [16, 512],
    );
    variants.force('gemv_float32');
    const y = ops.quantizedMatMul(x, weight);
    const expected = Array.from({length: 256}, (_, i) => {
      const [b, n] = [i >> 4, i & 15];
      // Scale 255 is in row 15, and nothing times NaN is NaN.
      return n === 15 ? Number.NaN : Math.fround(2 ** (64 + 5 + (16 * n + b - 127)));
    });
    expect([...(await y.data())]).toEqual(expected);
    weight.dispose();
    tf.dispose([x, y]);
  });
});
