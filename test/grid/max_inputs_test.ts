/** MAX's own roundings of x: int8 blocks of its GGUF matmul (its real outputs), and its two fp8 paths (from their formulas; they need a GPU). */
import * as tf from '@tensorflow/tfjs';
import {decodeInput, encodeInput} from '../../kernels/cpu/quantize.js';
import {RowReader} from '../../kernels/cpu/row.js';
import {decodeTable, toBfloat16} from '../../kernels/float_codes.js';
import {partsOf} from '../../kernels/words.js';
import {formatNamed} from '../../src/formats/format.js';
import {FORMATS} from '../../src/formats/index.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {BACKENDS_AND_WEBGPU, onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {readTensors} from '../support/fixtures.js';
import {buildWeight, randomX} from './layouts.js';

const fround = Math.fround;
const bfloat16 = (v: number) => decodeTable('bfloat16')[toBfloat16(v)] as number;

describe("MAX's rounding of x", () => {
  onEachBackend((backend) => {
    // int8 codes times a step are no whole 16-bit numbers, so wasm rounds x' once more.
    const bound = backend === 'wasm' ? 1e-4 : 1e-6;
    for (const [file, type, block] of [
      ['qlinear_q4_0_64x96', 'Q4_0', 32],
      ['qlinear_q4_0_32x512', 'Q4_0', 32],
      ['qlinear_q4_k_64x512', 'Q4_K', 256],
      ['qlinear_q6_k_64x512', 'Q6_K', 256],
    ] as const) {
      it(`reproduces ${file} with int8 blocks of ${block}`, async () => {
        const tensors = await readTensors(`max/${file}.safetensors`);
        const raw = tensors.get('weight_bytes');
        const dequant = tensors.get('dequant');
        if (raw === undefined || dequant === undefined) throw new Error(`no weight in ${file}`);
        const [n, k] = dequant.shape as [number, number];
        const module = {
          module: 'w',
          container: 'gguf' as const,
          quantization: null,
          tensors: new Map([['weight', {dtype: type, shape: [n, k], data: raw.data}]]),
        };
        const {layout, words} = formatNamed(FORMATS, 'gguf').lower(module);
        const weight = QuantizedWeight.fromWords(layout, words);
        for (const name of [...tensors.keys()].filter((key) => key.startsWith('x'))) {
          const source = tensors.get(name);
          const expected = tensors.get(`y.${name}`) ?? tensors.get(name.replace('x', 'y')) ?? tensors.get(`y_${name}`);
          if (source === undefined || expected === undefined) throw new Error(`no y for ${name} among ${[...tensors.keys()].join()}`);
          const x = tf.tensor(new Float32Array(source.data.buffer, 0, source.data.length / 4), [...source.shape], 'float32');
          const y = ops.quantizedMatMul(x, weight, {
            inputQuantization: {dtype: 'int8', origin: 'dynamic', granularity: 'block', block, reciprocal: true},
          });
          expect(rowErrors(await y.data(), new Float32Array(expected.data.buffer, 0, expected.data.length / 4), n)).toBeLessThan(bound);
          tf.dispose([x, y]);
        }
        weight.dispose();
      });
    }

    const [M, K, N] = [4, 64, 12];
    const named = buildWeight(
      'w',
      {n: N, k: K, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', N, K]]},
      9,
    );
    const perRow = buildWeight(
      'w',
      {n: N, k: K, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', 1, K]]},
      9,
    );
    const rows = ({layout, words}: typeof named) => {
      const reader = new RowReader(layout, partsOf(layout, words));
      return Array.from({length: N}, (_, n) => {
        const row = new Float32Array(K);
        reader.read(n, row);
        return row;
      });
    };
    /** bf16 has 8 bits: two sums on either side of a tie differ by one step. */
    const step = 2 ** -7;

    it('static: q = e4m3(clamp(x * (1 / s))), y = bf16(acc * (s * weight scale))', async () => {
      const [scale, x] = [0.0123, randomX(M, K, 8)];
      const inverse = fround(1 / fround(scale));
      const expected: number[] = [];
      for (let m = 0; m < M; m++) {
        for (const row of rows(named)) {
          let sum = 0;
          for (let k = 0; k < K; k++)
            sum +=
              decodeInput('float8_e4m3fn', encodeInput('float8_e4m3fn', fround((x[m * K + k] as number) * inverse))) *
              fround(scale) *
              (row[k] as number);
          expected.push(bfloat16(sum));
        }
      }
      const w = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const xt = tf.tensor2d(x, [M, K]);
      const y = ops.fp8ScaledMatMul(xt, w, {
        inputScale: scale,
        inputOrigin: 'static',
        inputGranularity: 'tensor',
        outputDtype: 'bfloat16',
        reciprocal: true,
      });
      const got = await y.data();
      expected.forEach((v, i) => expect(Math.abs((got[i] as number) - v)).toBeLessThanOrEqual(Math.abs(v) * step));
      w.dispose();
      tf.dispose([xt, y]);
    });

    it('dynamic: s = min(amax, ub) / 448 a token (MAX took max: noted, not copied), y = bf16(acc * s * weight scale)', async () => {
      const x = randomX(M, K, 8).map((v, i) => (i === 3 ? 50 : v));
      x.fill(0, K, 2 * K);
      const ub = 10;
      const expected: number[] = [];
      for (let m = 0; m < M; m++) {
        const amax = Math.max(...x.subarray(m * K, (m + 1) * K).map(Math.abs));
        const s = fround(Math.min(amax, ub) / 448);
        for (const row of rows(perRow)) {
          let sum = 0;
          for (let k = 0; k < K; k++) {
            const q = s === 0 ? 0 : decodeInput('float8_e4m3fn', encodeInput('float8_e4m3fn', fround((x[m * K + k] as number) / s)));
            sum += q * s * (row[k] as number);
          }
          expected.push(bfloat16(sum));
        }
      }
      const w = QuantizedWeight.fromWords(perRow.layout, perRow.words.slice());
      const xt = tf.tensor2d(x, [M, K]);
      const y = ops.fp8ScaledMatMul(xt, w, {
        inputOrigin: 'dynamic',
        inputGranularity: 'colwise',
        activationScaleUb: ub,
        outputDtype: 'bfloat16',
      });
      const got = await y.data();
      expected.forEach((v, i) => expect(Math.abs((got[i] as number) - v)).toBeLessThanOrEqual(Math.abs(v) * step));
      expect([...got.slice(N, 2 * N)]).toEqual(new Array(N).fill(0));
      w.dispose();
      tf.dispose([xt, y]);
    });
  }, BACKENDS_AND_WEBGPU);
});
