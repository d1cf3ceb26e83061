/** 8-bit float activations: the tools' own codes, every granularity of x with every one of W, and the checkpoints' own results. */
import * as tf from '@tensorflow/tfjs';
import {quantizeRows} from '../../kernels/cpu/quantize.js';
import {RowReader} from '../../kernels/cpu/row.js';
import {type InputQuantization, type InputType, quantizeAttrs, scaleShape} from '../../kernels/input_quantization.js';
import {partsOf} from '../../kernels/words.js';
import {openCheckpoint, ops, QuantizedWeight} from '../../src/index.js';
import {BACKENDS_AND_WEBGPU, onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {jsonBytes, readFixture} from '../support/files.js';
import {loadCase, readTensors} from '../support/fixtures.js';
import {buildWeight, randomX} from './layouts.js';

const TYPES: readonly InputType[] = ['float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz', 'float4_e2m1fn'];
const [M, K, N] = [5, 96, 40];
const BLOCK = 40;

/** A static scale that suits the granularity, or none. */
function scheme(
  granularity: InputQuantization['granularity'],
  origin: 'static' | 'dynamic',
): {q: InputQuantization; scale: Float32Array | null; shape: number[]} {
  const block = granularity === 'block' ? {block: BLOCK} : {};
  const shape = scaleShape(granularity, M, K, BLOCK);
  const count = shape.reduce((a, b) => a * b, 1);
  const scale = origin === 'static' ? Float32Array.from({length: count}, (_, i) => 0.001 + 0.0007 * (i % 7)) : null;
  return {q: {dtype: 'float8_e4m3fn', origin, granularity, ...block}, scale, shape};
}

describe('fp8 activations', () => {
  onEachBackend((backend) => {
    const bound = backend === 'wasm' || backend === 'tensorflow' ? 1e-4 : 1e-6;

    for (const type of TYPES) {
      it(`rounds to ${type} as torch does after clamping`, async () => {
        const tables = await readTensors('quant/fp8_tables.safetensors');
        const input = tables.get(`${type}.round.input`);
        const expected = tables.get(`${type}.round.torch_clamped`) ?? tables.get(`${type}.round.ml_dtypes`);
        if (input === undefined || expected === undefined) throw new Error(`no table of ${type}`);
        const values = new Float32Array(input.data.buffer, 0, input.data.length / 4);
        // e2m1 has no NaN: what ml_dtypes makes of one is nobody's rule.
        const keep = [...values.keys()].filter((i) => !(type === 'float4_e2m1fn' && !Number.isFinite(values[i] as number)));
        const x = tf.tensor2d(
          keep.map((i) => values[i] as number),
          [1, keep.length],
        );
        const {codes, scales} = ops.fp8Quantize(x, {dtype: type, origin: 'static', granularity: 'tensor', scale: 1});
        expect([...(await codes.data())]).toEqual(keep.map((i) => expected.data[i] as number));
        tf.dispose([x, codes, scales]);
      });
    }

    for (const origin of ['static', 'dynamic'] as const) {
      for (const granularity of ['tensor', 'rowwise', 'colwise', 'block'] as const) {
        it(`quantises x ${origin} ${granularity} as the oracle does`, async () => {
          const {q, scale, shape} = scheme(granularity, origin);
          const values = randomX(M, K, 3);
          values.fill(0, 2 * K, 3 * K);
          values[7] = 90;
          const expected = quantizeRows(values, scale, M, K, quantizeAttrs(scale === null ? q : {...q, scale: 1}, false));
          const x = tf.tensor2d(values, [M, K]);
          const given = scale === null ? null : tf.tensor(scale, shape);
          const {codes, scales} = ops.fp8Quantize(x, given === null ? q : {...q, scale: given});
          expect(scales.shape).toEqual(shape);
          expect(await scales.data()).toEqual(expected.scales);
          expect(await codes.data()).toEqual(expected.out as Int32Array);
          expect([...(await codes.data()).slice(2 * K, 3 * K)].every((c) => c === 0)).toBeTrue();
          tf.dispose([x, codes, scales, ...(given === null ? [] : [given])]);
        });

        for (const [weight, rows, columns] of [
          ['tensor', N, K],
          ['rowwise', 1, K],
          ['colwise', N, 1],
          ['block', 16, 32],
        ] as const) {
          it(`multiplies x ${origin} ${granularity} with W ${weight}`, async () => {
            const named = buildWeight(
              'w',
              {n: N, k: K, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', rows, columns]]},
              5,
            );
            const {q, scale, shape} = scheme(granularity, origin);
            const values = randomX(M, K, 4);
            const rounded = quantizeRows(values, scale, M, K, quantizeAttrs(scale === null ? q : {...q, scale: 1}, true)).out;
            const reader = new RowReader(named.layout, partsOf(named.layout, named.words));
            const expected = new Float64Array(M * N);
            const row = new Float32Array(K);
            for (let n = 0; n < N; n++) {
              reader.read(n, row);
              for (let m = 0; m < M; m++)
                for (let k = 0; k < K; k++) expected[m * N + n]! += (rounded[m * K + k] as number) * (row[k] as number);
            }
            const w = QuantizedWeight.fromWords(named.layout, named.words);
            const x = tf.tensor3d(values, [1, M, K]);
            const given = scale === null ? null : tf.tensor(scale, shape);
            const y = ops.fp8ScaledMatMul(x, w, {
              inputOrigin: origin,
              inputGranularity: granularity,
              ...(given === null ? {} : {inputScale: given}),
              ...(granularity === 'block' ? {block: BLOCK} : {}),
            });
            expect(y.shape).toEqual([1, M, N]);
            expect(rowErrors(await y.data(), expected, N)).toBeLessThan(bound);
            w.dispose();
            tf.dispose([x, y, ...(given === null ? [] : [given])]);
          });
        }
      }
    }

    it('keeps a row from a scale below its floor, and NaN where the scale is 0', async () => {
      const small = tf.tensor2d([1e-6, -2e-6, 0, 0, 1, 2, 3, 4], [2, 4]);
      const bounded = ops.fp8Quantize(small, {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'colwise', amaxFloor: 1e-4});
      expect(Array.from(await bounded.scales.data())).toEqual([1e-4, 4].map((amax) => Math.fround(Math.fround(amax) / 448)));
      // 1e-6 is 4.48 times the scale, and 4.5 the nearest; -8.96: -9.
      expect(Array.from(await bounded.codes.data()).slice(0, 4)).toEqual([0x49, 0xd1, 0, 0]);
      const x = tf.tensor2d([1, -2, Number.NaN], [1, 3]);
      const zero = ops.fp8Quantize(x, {dtype: 'float8_e4m3fn', origin: 'static', granularity: 'tensor', scale: 0});
      const [a, b, c] = await zero.codes.data();
      expect([a, (b as number) & 0x7f, c]).toEqual([0, 0, 0x7f]);
      tf.dispose([small, bounded.codes, bounded.scales, x, zero.codes, zero.scales]);
    });

    it('leaves nothing on the backend but y', async () => {
      const named = buildWeight(
        'w',
        {n: 3, k: 8, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', 1, 8]]},
        5,
      );
      const w = QuantizedWeight.fromWords(named.layout, named.words);
      const x = tf.ones([2, 8]);
      const {backend: held} = tf.engine();
      const call = (options: {outputDtype?: 'bfloat16'; inputScale?: number}) => {
        const inputOrigin = options.inputScale === undefined ? 'dynamic' : 'static';
        ops.fp8ScaledMatMul(x, w, {inputOrigin, inputGranularity: 'tensor', ...options}).dispose();
      };
      // Once, for what a backend keeps for later calls.
      for (const options of [{}, {outputDtype: 'bfloat16', inputScale: 0.5}] as const) call(options);
      const before = held.numDataIds();
      for (const options of [{}, {outputDtype: 'bfloat16'}, {inputScale: 0.5}, {outputDtype: 'bfloat16', inputScale: 0.5}] as const)
        call(options);
      expect(held.numDataIds()).toBe(before);
      w.dispose();
      x.dispose();
    });

    it('rounds y to bfloat16 on request', async () => {
      const named = buildWeight(
        'w',
        {n: 7, k: 32, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', 7, 32]]},
        6,
      );
      const w = QuantizedWeight.fromWords(named.layout, named.words);
      const x = tf.tensor2d(randomX(3, 32), [3, 32]);
      const plain = ops.fp8ScaledMatMul(x, w, {inputOrigin: 'dynamic', inputGranularity: 'colwise'});
      const y = ops.fp8ScaledMatMul(x, w, {inputOrigin: 'dynamic', inputGranularity: 'colwise', outputDtype: 'bfloat16'});
      const bits = new Uint32Array((await y.data()).slice().buffer);
      expect([...bits].every((b) => (b & 0xffff) === 0)).toBeTrue();
      expect(rowErrors(await y.data(), await plain.data(), 7)).toBeLessThan(2 ** -8);
      w.dispose();
      tf.dispose([x, plain, y]);
    });

    const cases = [
      'deepseek_fp8_block128_200x320',
      'deepseek_fp8_block128_96x100',
      'fbgemm_fp8_rowwise_bias',
      'ct_fp8_dynamic_channel',
      'ct_w8a8_int8',
      'ct_fp8_static_tensor',
      'ct_nvfp4',
      'ct_fp8_dynamic_channel_smollm2_k',
    ];
    for (const name of cases) {
      it(`reproduces ${name} with its own rounding of x`, async () => {
        const {entry, ref} = await loadCase(name);
        const config = jsonBytes({quantization_config: entry.quantization_config});
        const ckpt = await openCheckpoint({'model.safetensors': await readFixture(`quant/${entry.file}`), 'config.json': config});
        const layer = await ckpt.linear(entry.module);
        const x = tf.tensor2d(ref.x as Float32Array, [(ref.x as Float32Array).length / layer.inDim, layer.inDim]);
        const y = layer.forward(x);
        const suffix = name.startsWith('fbgemm') ? 'y_actquant_ub' : 'y_actquant';
        expect(rowErrors(await y.data(), ref[suffix] as Float32Array, layer.outDim)).toBeLessThan(bound);
        const q = layer.inputQuantization;
        if (q === null) throw new Error('no input quantisation');
        if (ref.x_fakequant !== undefined) {
          const fake = quantizeRows(
            ref.x as Float32Array,
            typeof q.scale === 'number' ? [Math.fround(q.scale)] : null,
            x.shape[0],
            layer.inDim,
            quantizeAttrs(q, true),
          );
          expect([...fake.out].map((v) => v + 0)).toEqual([...ref.x_fakequant].map((v) => v + 0));
        }
        layer.dispose();
        await ckpt.close();
        tf.dispose([x, y]);
      });
    }
  }, BACKENDS_AND_WEBGPU);
});
