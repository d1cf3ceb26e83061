/** Devices whose float textures hold 16 bits (most phones): what is rounded to them, and what keeps its bits all the same. */
import * as tf from '@tensorflow/tfjs';
import {quantizeRows} from '../../kernels/cpu/quantize.js';
import {type InputQuantization, type InputType, quantizeAttrs} from '../../kernels/input_quantization.js';
import {rendersFloat32} from '../../kernels/webgl/backend.js';
import {DeviceError, ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {numbersOfAsync} from '../support/numbers.js';
import {productOf, unpacked} from '../support/reference.js';
import {describeWebgl, withFlags} from '../support/webgl.js';
import {buildWeight, randomX} from './layouts.js';

const FLAGS = {WEBGL_FORCE_F16_TEXTURES: true, WEBGL_RENDER_FLOAT32_ENABLED: false};
const BOUND = 2e-3;
const [M, K] = [3, 64];

/** Numbers that 16 bits hold: multiples of 2^-8 in [-2, 2]. */
const halves = (m: number, k: number, seed = 1) => randomX(m, k, seed).map((v) => Math.round(v * 512) / 256);

const weightOf = (structure: Parameters<typeof buildWeight>[1]) => {
  const named = buildWeight('half', structure, 3);
  return {w: unpacked(named), weight: QuantizedWeight.fromWords(named.layout, named.words.slice())};
};

describeWebgl('16-bit float textures', () => {
  const half = (name: string, f: () => Promise<void>) =>
    it(name, async () => {
      await withFlags(FLAGS, async () => {
        expect(rendersFloat32()).toBeFalse();
        await f();
      });
    });

  for (const dtype of ['float8_e4m3fn', 'float8_e5m2', 'int8'] as InputType[]) {
    for (const granularity of ['tensor', 'colwise', 'rowwise'] as const) {
      half(`round x to ${dtype} by ${granularity} with exact codes and scales`, async () => {
        const values = halves(M, K).map((v) => v / 64);
        const q: InputQuantization = {dtype, origin: 'dynamic', granularity};
        const expected = quantizeRows(values, null, M, K, quantizeAttrs(q, false));
        const x = tf.tensor2d(values, [M, K]);
        const {codes, scales} = ops.fp8Quantize(x, q);
        x.dispose();
        expect(await numbersOfAsync(scales)).toEqual(expected.scales);
        expect(Array.from(await numbersOfAsync(codes))).toEqual(Array.from(expected.out));
      });
    }
  }

  half('read a static scale that 16 bits would make 0', async () => {
    const scale = 3e-9;
    const values = halves(M, K).map((v) => v * 2 ** -14);
    const q: InputQuantization = {dtype: 'float8_e5m2', origin: 'static', granularity: 'tensor', scale};
    const expected = quantizeRows(values, [Math.fround(scale)], M, K, quantizeAttrs(q, false));
    expect(new Set(expected.out).size).toBeGreaterThan(10);
    const x = tf.tensor2d(values, [M, K]);
    const {codes, scales} = ops.fp8Quantize(x, q);
    x.dispose();
    expect(await numbersOfAsync(scales)).toEqual(Float32Array.of(scale));
    expect(Array.from(await numbersOfAsync(codes))).toEqual(Array.from(expected.out));
  });

  half('decline codes of 16 bits, which they cannot hold', async () => {
    const x = tf.tensor2d(halves(M, K), [M, K]);
    const q: InputQuantization = {dtype: 'bfloat16', origin: 'static', granularity: 'tensor', scale: 1};
    expect(() => ops.fp8Quantize(x, q)).toThrowError(DeviceError, /expected textures of float32.*16-bit/s);
    x.dispose();
  });

  half('multiply x rounded to 8 bits', async () => {
    const {w, weight} = weightOf({
      n: 24,
      k: K,
      planes: [8],
      decode: {kind: 'float', type: 'float8_e4m3fn'},
      scales: [['float32', 8, 32]],
    });
    const values = halves(M, K);
    const q = {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'colwise'} as const;
    const rounded = quantizeRows(values, null, M, K, quantizeAttrs(q, true)).out as Float32Array;
    const x = tf.tensor2d(values, [M, K]);
    const y = ops.fp8ScaledMatMul(x, weight, {inputOrigin: 'dynamic', inputGranularity: 'colwise'});
    expect(rowErrors(await numbersOfAsync(y), productOf(rounded, w, M, 24), 24)).toBeLessThan(BOUND);
    x.dispose();
    weight.dispose();
  });

  half('carry a gradient to x and the bias', async () => {
    const {w, weight} = weightOf({n: 12, k: K, planes: [4], zero: 8, scales: [['float16', 1, 32]], ordered: true});
    const x = tf.tensor2d(halves(M, K), [M, K]);
    const bias = tf.zeros([12]);
    const [dx, dbias] = tf.grads((a, b) => tf.sum(ops.quantizedMatMul(a as tf.Tensor, weight, {bias: b as tf.Tensor})))([x, bias]);
    const columns = Float64Array.from({length: M * K}, (_, i) => {
      let sum = 0;
      for (let n = 0; n < 12; n++) sum += w[n * K + (i % K)] as number;
      return sum;
    });
    expect(rowErrors(await numbersOfAsync(dx as tf.Tensor), columns, K)).toBeLessThan(BOUND);
    expect([...(await numbersOfAsync(dbias as tf.Tensor))]).toEqual(Array.from({length: 12}, () => M));
    tf.dispose([x, bias]);
    weight.dispose();
  });

  half('give tensors that later ops of tf.js use', async () => {
    const {w, weight} = weightOf({n: 20, k: K, planes: [4], zero: 8, scales: [['float16', 1, 32]]});
    const values = halves(M, K);
    const y = tf.tidy(() => {
      const product = ops.quantizedMatMul(tf.tensor2d(values, [M, K]), weight, {activation: 'silu'});
      // The unpacked weight as an operand of tf.js's own product.
      const plain = tf.matMul(tf.tensor2d(values, [M, K]), weight.dequantize(), false, true);
      return tf.stack([product, plain]);
    });
    const expected = [...productOf(values, w, M, 20, null, 'silu'), ...productOf(values, w, M, 20)];
    expect(rowErrors(await numbersOfAsync(y), expected, 20)).toBeLessThan(BOUND);
    weight.dispose();
  });
});
