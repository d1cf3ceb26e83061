/**
 * Scales of x that are powers of two (scale_fmt 'ue8m0'), on every backend: as the exponent and mantissa bits of the float32 scale have them, which is
 * fast_round_scale of DeepSeek V3.2's inference/kernel.py.
 */
import * as tf from '@tensorflow/tfjs';
import {decodeTable} from '../../kernels/float_codes.js';
import type {InputQuantization} from '../../kernels/input_quantization.js';
import {ArgumentError, openCheckpoint, ops, QuantizedWeight} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {f32, moduleOf, tensor} from '../formats/packed_build.js';
import {BACKENDS_AND_WEBGPU, onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {productOf, unpacked} from '../support/reference.js';
import {buildWeight, randomX} from './layouts.js';

const DYNAMIC = {dtype: 'float8_e4m3fn', origin: 'dynamic', powersOfTwo: true} as const;
const FLOOR = 1e-4;
const [M, K] = [5, 96];

/** 2^ceil(log2(s)) by the bits of s, which is ordinary. */
function powerAbove(s: number): number {
  const bits = new Uint32Array(Float32Array.of(s).buffer)[0] as number;
  return 2 ** ((bits >>> 23) - 127 + ((bits & 0x7fffff) === 0 ? 0 : 1));
}

/** The nearest number of e4m3fn, ties to the even code; saturating. */
function nearest(v: number): number {
  const numbers = decodeTable('float8_e4m3fn');
  let best = 0;
  for (let code = 0; code < 0x7f; code++) {
    const [distance, least] = [Math.abs(Math.abs(v) - (numbers[code] as number)), Math.abs(Math.abs(v) - (numbers[best] as number))];
    if (distance < least || (distance === least && code % 2 === 0)) best = code;
  }
  return Math.sign(v) * (numbers[best] as number);
}

/** Scales of blocks of `block` columns, and x rounded under them. */
function byHand(x: Float32Array, k: number, block: number, floor: number): {scales: number[]; rounded: Float32Array} {
  const scales: number[] = [];
  const rounded = x.slice();
  for (let row = 0; row < x.length; row += k) {
    for (let begin = row; begin < row + k; begin += block) {
      const part = x.subarray(begin, Math.min(begin + block, row + k));
      const amax = Math.max(floor, ...part.map(Math.abs));
      const scale = amax === 0 ? 0 : powerAbove(Math.fround(amax / 448));
      scales.push(scale);
      part.forEach((v, i) => (rounded[begin + i] = scale === 0 ? 0 : nearest(v / scale) * scale));
    }
  }
  return {scales, rounded};
}

/** Numbers of every size, a row of zeros, and one of tiny ones. */
function mixed(): Float32Array {
  const x = randomX(M, K, 5).map((v, i) => Math.fround(v * 2 ** (((i * 7) % 23) - 11)));
  return x.fill(0, K, 2 * K).fill(2e-6, 2 * K, 3 * K);
}

describe('scales that are powers of two', () => {
  onEachBackend((backend) => {
    const bound = backend === 'wasm' || backend === 'tensorflow' ? 1e-4 : 1e-6;

    it('are the scale itself where it is one, else the next above', async () => {
      const above = Math.fround(448 * (1 + 2 ** -23));
      const rows = [
        [448, above, 447, 896],
        [3.5, 3.5 * (1 + 2 ** -22), 1e-4, 0],
        [1e30, 2 ** -100 * 7, 1.75 * 2 ** 120, 1.75],
      ];
      const x = tf.tensor2d(rows);
      const {codes, scales} = ops.fp8Quantize(x, {...DYNAMIC, granularity: 'block', block: 1, amaxFloor: FLOOR});
      expect(Array.from(await scales.data())).toEqual([
        ...[1, 2, 1, 2],
        ...[2 ** -7, 2 ** -6, 2 ** -22, 2 ** -22],
        ...[powerAbove(Math.fround(1e30 / 448)), 2 ** -22, 2 ** 112, 2 ** -8],
      ]);
      // 448 / 1 and 448.00005 / 2; 0 of a block of zeros.
      expect(Array.from(await codes.data()).slice(0, 2)).toEqual([0x7e, 0x76]);
      expect((await codes.data())[7]).toBe(0);
      tf.dispose([x, codes, scales]);
    });

    it('give the codes that they have by hand, with a floor and without, blocks cut short', async () => {
      const values = mixed();
      for (const floor of [FLOOR, 0]) {
        const q: InputQuantization = {...DYNAMIC, granularity: 'block', block: 40, ...(floor === 0 ? {} : {amaxFloor: floor})};
        const x = tf.tensor2d(values, [M, K]);
        const {codes, scales} = ops.fp8Quantize(x, q);
        const expected = byHand(values, K, 40, floor);
        expect(scales.shape).toEqual([M, 3]);
        expect(Array.from(await scales.data())).toEqual(expected.scales);
        const numbers = decodeTable('float8_e4m3fn');
        const got = Array.from(
          await codes.data(),
          (code, i) => (numbers[code] as number) * (expected.scales[Math.floor(i / K) * 3 + Math.floor((i % K) / 40)] as number),
        );
        expect(got.map((v) => v + 0)).toEqual(Array.from(expected.rounded, (v) => v + 0));
        tf.dispose([x, codes, scales]);
      }
    });

    it('of a tensor, of rows and of columns', async () => {
      const values = mixed();
      const x = tf.tensor2d(values, [M, K]);
      for (const granularity of ['tensor', 'colwise', 'rowwise'] as const) {
        const plain = ops.fp8Quantize(x, {...DYNAMIC, powersOfTwo: false, granularity});
        const {codes, scales} = ops.fp8Quantize(x, {...DYNAMIC, granularity});
        expect(scales.shape).toEqual(plain.scales.shape);
        const expected = Array.from(await plain.scales.data(), (s) => (s === 0 ? 0 : powerAbove(s)));
        expect(Array.from(await scales.data()))
          .withContext(granularity)
          .toEqual(expected);
        tf.dispose([codes, scales, plain.codes, plain.scales]);
      }
      x.dispose();
    });

    it('in a product and its gradient', async () => {
      const named = buildWeight(
        'powers',
        {n: 12, k: K, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', 4, 40]]},
        3,
      );
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const before = tf.memory().numTensors;
      const inputQuantization: InputQuantization = {...DYNAMIC, granularity: 'block', block: 40, amaxFloor: FLOOR};
      const values = mixed();
      const x = tf.tensor2d(values, [M, K]);
      const y = ops.quantizedMatMul(x, weight, {inputQuantization});
      const w = unpacked(named);
      const expected = productOf(byHand(values, K, 40, FLOOR).rounded, w, M, 12);
      expect(rowErrors(await y.data(), expected, 12)).toBeLessThanOrEqual(bound);
      const dx = tf.grad((t: tf.Tensor) => tf.sum(ops.quantizedMatMul(t, weight, {inputQuantization})))(x);
      const sums = Float64Array.from({length: M * K}, (_, i) =>
        Array.from({length: 12}, (_, n) => w[n * K + (i % K)] as number).reduce((a, b) => a + b),
      );
      expect(rowErrors(await dx.data(), sums, K)).toBeLessThanOrEqual(1e-5);
      tf.dispose([x, y, dx]);
      expect(tf.memory().numTensors).toBe(before);
      weight.dispose();
    });
  }, BACKENDS_AND_WEBGPU);

  it('are refused with a static scale, and with two levels', () => {
    const x = tf.ones([1, 2]);
    for (const more of [{origin: 'static', scale: 1}, {globalScale: 2}] as const) {
      expect(() => ops.fp8Quantize(x, {...DYNAMIC, granularity: 'tensor', ...more})).toThrowError(ArgumentError, /powersOfTwo/);
    }
    expect(() => ops.fp8Quantize(x, {...DYNAMIC, granularity: 'tensor', powersOfTwo: 'ue8m0' as unknown as boolean})).toThrowError(
      ArgumentError,
      /powersOfTwo/,
    );
    x.dispose();
  });

  it("are what a checkpoint with scale_fmt 'ue8m0' asks for", async () => {
    await tf.setBackend('cpu');
    const tensors = {weight: tensor('F8_E4M3', [2, 8], new Uint8Array(16).fill(0x38)), weight_scale_inv: f32([1, 2], [1, 2])};
    const config = {quant_method: 'fp8', fmt: 'e4m3', activation_scheme: 'dynamic', weight_block_size: [2, 4]};
    for (const scale_fmt of ['ue8m0', 'float', null]) {
      const checkpoint = await openCheckpoint(checkpointFiles(moduleOf(tensors, {...config, scale_fmt}, 'up')));
      const layer = await checkpoint.linear('up');
      expect(layer.inputQuantization?.powersOfTwo).toBe(scale_fmt === 'ue8m0' ? true : undefined);
      expect(JSON.stringify(layer.getConfig()).includes('powersOfTwo')).toBe(scale_fmt === 'ue8m0');
      const x = tf.tensor2d([[449, 3, 0, 0, 0, 0, 0, 1]]);
      const y = layer.forward(x);
      // Under 2, 449 is 224.5, rounded to 224, and 3 is itself; under 449 / 448 it is 448, and 3 is 2.99, rounded to 3.
      const expected = scale_fmt === 'ue8m0' ? 451 + 2 : 2 + (449 / 448) * (448 + 3);
      for (const v of y.dataSync()) expect(v).toBeCloseTo(expected, 3);
      tf.dispose([x, y]);
      layer.dispose();
    }
  });
});
