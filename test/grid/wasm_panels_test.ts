/** Products of many rows on wasm: what is multiplied where, sums at the ends of 16 bits, and parts of a weight that give the bits of the whole. */
import * as tf from '@tensorflow/tfjs';
import {QUANTIZED_MATMUL, type QuantizedMatMulAttrs} from '../../kernels/attributes.js';
import {chooseWasm, type DotKind} from '../../kernels/wasm/choose.js';
import {heapOf} from '../../kernels/wasm/module.js';
import {partsOf} from '../../kernels/words.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {onWasm} from '../support/on_wasm.js';
import {productOf, unpacked} from '../support/reference.js';
import {buildWeight, randomX, type Structure} from './layouts.js';

const f16 = 'float16' as const;
const bits = (planes: readonly number[], zero: number, group: number): Structure => ({
  n: 37,
  k: 384,
  planes,
  zero,
  scales: [[f16, 1, group]],
});

const STRUCTURES: Readonly<Record<string, Structure>> = {
  'int4 g128': bits([4], 8, 128),
  'int4 g16': bits([4], 8, 16),
  'int5 g32': bits([4, 1], 16, 32),
  'int6 g64': bits([4, 2], 32, 64),
  'int8 g32': bits([8], 128, 32),
  'int4 g32 offset': {n: 37, k: 384, planes: [4], scales: [[f16, 1, 32]], offsets: [[f16, 1, 32]]},
  'float16 K=333': {n: 37, k: 333, planes: [16], decode: {kind: 'float', type: 'float16'}},
  e4m3fn: {n: 37, k: 384, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', 1, 128]]},
};

describe('products of many rows on wasm', () => {
  const variants = onWasm();

  it('multiply an x of bytes in the widest way that the engine has and the codes fit', () => {
    const chosen = (name: keyof typeof STRUCTURES, dots: DotKind, columns: number) => {
      const {variant, block, kind} = chooseWasm(
        buildWeight(name, {...(STRUCTURES[name] as Structure), n: 229}, 1).layout,
        64,
        'auto',
        null,
        dots,
        columns,
      );
      return `${variant} ${block} ${kind}`;
    };
    // Several instructions a product: sums in 16 bits of as many columns as fit, else pairs of 16 bits.
    expect(chosen('int4 g128', 0, 128)).toBe('gemm_dots_int16 32 3');
    expect(chosen('int4 g16', 0, 16)).toBe('gemm_dots_int16 16 3');
    expect(chosen('int5 g32', 0, 384)).toBe('gemm_dots_int16 16 3');
    expect(chosen('int6 g64', 0, 64)).toBe('gemm_int16 64 0');
    expect(chosen('int8 g32', 0, 32)).toBe('gemm_int16 32 0');
    // One instruction: sums in 32.
    expect(chosen('int4 g128', 1, 128)).toBe('gemm_dots_int16 128 1');
    expect(chosen('int6 g64', 2, 64)).toBe('gemm_dots_int16 64 1');
    // x of 16 bits.
    expect(chosen('int5 g32', 0, 0)).toBe('gemm_int16 32 0');
    expect(chosen('int5 g32', 1, 0)).toBe('gemm_dots_int16 32 2');
    expect(chosen('int8 g32', 1, 0)).toBe('gemm_int16 32 0');
    expect(chosen('int4 g128', -1, 128)).toBe('gemm_int16 128 0');
  });

  // 127 times 31 sixteen times in two lanes, 127 times 15 thirty-two times: one block more would not fit. 32639 times 127 fits 132 times in 32 bits.
  for (const [name, structure] of [
    ['4 bits', {n: 16, k: 256, planes: [4], scales: [['float32', 1, 128]]}],
    ['5 bits', {n: 17, k: 256, planes: [4, 1], scales: [['float32', 1, 64]]}],
    ['7 bits', {n: 9, k: 256, planes: [4, 2, 1], scales: [['float32', 1, 128]]}],
  ] as [string, Structure][]) {
    for (const dtype of ['int8', null] as const) {
      it(`are exact for the largest codes of ${name} and the largest ${dtype === null ? '16-bit numbers' : 'bytes'} of x`, async () => {
        const {layout, words} = buildWeight(name, structure, 3);
        const {codes, scales} = partsOf(layout, words);
        codes.fill(-1);
        scales[0]?.fill(1);
        const weight = QuantizedWeight.fromWords(layout, words);
        const [n, k] = weight.shape;
        const signs = [1, -1, 1];
        const x = tf.tensor2d(
          signs.flatMap((s) => Array.from({length: k}, () => s * 2)),
          [3, k],
        );
        const highest = 2 ** structure.planes.reduce((sum, bits) => sum + bits) - 1;
        const expected = signs.flatMap((s) => Array.from({length: n}, () => s * 2 * highest * k));
        for (const variant of [null, 'gemm_dots_int16', 'gemm_int16']) {
          variants.force(variant);
          const y = ops.quantizedMatMul(
            x,
            weight,
            dtype === null ? {} : {inputQuantization: {dtype, origin: 'dynamic', granularity: 'colwise'}},
          );
          (await y.data()).forEach((v, i) => {
            expect(Math.abs(v / (expected[i] as number) - 1)).toBeLessThan(1e-6);
          });
          y.dispose();
        }
        x.dispose();
        weight.dispose();
      });
    }
  }

  // Packs of x have two to six rows, and the last one what is left: 128 rows are taken at a time.
  for (const name of ['int4 g32 offset', 'int4 g128', 'int6 g64', 'float16 K=333', 'e4m3fn'] as const) {
    const float = 'decode' in (STRUCTURES[name] as Structure);
    for (const dtype of float ? ([null] as const) : (['int8', null] as const)) {
      it(`give a row of x the same bits whatever rows are beside it: ${name}, x ${dtype ?? 'of 16 bits'}`, async () => {
        const n = 11;
        const {layout, words} = buildWeight(name, {...(STRUCTURES[name] as Structure), n}, 60);
        const k = layout.inDim;
        const values = randomX(135, k, 61);
        const weight = QuantizedWeight.fromWords(layout, words.slice());
        const before = tf.memory().numTensors;
        const heap = heapOf(tf.backend()) as {dots: DotKind};
        const own = heap.dots;
        // How the engine multiplies bytes decides in what they are summed.
        const inBytes = own === -1 ? [] : ([0, 1] as const).map((dots): [string, DotKind] => ['gemm_dots_int16', dots]);
        const ways: [string, DotKind][] = float ? [['float32', own]] : [['gemm_int16', own], ...inBytes];
        try {
          for (const [variant, dots] of ways) {
            variants.force(variant);
            heap.dots = dots;
            const product = async (m: number) => {
              const x = tf.tensor2d(values.slice(0, m * k), [m, k]);
              const y = ops.quantizedMatMul(
                x,
                weight,
                dtype === null ? {} : {inputQuantization: {dtype, origin: 'dynamic', granularity: 'colwise'}},
              );
              const got = (await y.data<'float32'>()).slice();
              tf.dispose([x, y]);
              return got;
            };
            const all = await product(135);
            if (dtype === null)
              expect(rowErrors(all, productOf(values, unpacked({layout, words}), 135, n), n)).toBeLessThan(float ? 1e-6 : 1e-4);
            // The 129th row is alone, and where x is as it is summed in another order.
            for (const m of [float ? 2 : 129, 3, 4, 5, 6, 7, 8, 9, 11, 13, 127, 128, 130, 132]) {
              expect(await product(m))
                .withContext(`${variant}, ${dots}, ${m} rows`)
                .toEqual(all.slice(0, m * n));
            }
          }
        } finally {
          heap.dots = own;
        }
        expect(tf.memory().numTensors).toBe(before);
        weight.dispose();
      });
    }
  }

  Object.entries(STRUCTURES).forEach(([name, structure], i) => {
    it(`give the same bits for any part of the rows of ${name}`, async () => {
      const {layout, words} = buildWeight(name, {...structure, n: 229}, 40 + i);
      const n = 229;
      const m = 7;
      const before = tf.memory().numTensors;
      const tensors = {x: tf.tensor2d(randomX(m, layout.inDim, i), [m, layout.inDim]), words: tf.tensor1d(words, 'int32')};
      const product = (rowStart: number, rowEnd: number) => {
        const attrs: QuantizedMatMulAttrs = {layout, rowStart, rowEnd, activation: null, inputPrecision: 'auto'};
        return tf.engine().runKernel(QUANTIZED_MATMUL, tensors, attrs as unknown as tf.NamedAttrMap) as unknown as tf.Tensor2D;
      };
      const whole = tf.tidy(() => product(0, n).dataSync().slice());
      const cuts = [0, 1, 16, 21, 32, 100, n];
      for (const [part, begin] of cuts.slice(0, -1).entries()) {
        const end = cuts[part + 1] as number;
        const y = product(begin, end);
        const got = new Int32Array((await y.data()).slice().buffer);
        const expected = new Int32Array(
          Float32Array.from(
            {length: m * (end - begin)},
            (_, at) => whole[Math.floor(at / (end - begin)) * n + begin + (at % (end - begin))] as number,
          ).buffer,
        );
        expect(got).toEqual(expected);
        y.dispose();
      }
      tf.dispose(tensors);
      expect(tf.memory().numTensors).toBe(before);
    });
  });
});
