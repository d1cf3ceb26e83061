/** What the grid of all backends does not ask of 'tensorflow': every variant of unpacking, many rows, the GPU's way of holding words, NaN, threads. */
import * as tf from '@tensorflow/tfjs';
import {decodeTable} from '../../kernels/float_codes.js';
import type {FloatType} from '../../kernels/layout.js';
import {loadTensorflow} from '../../kernels/tensorflow/load.js';
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, type NamedWeight, randomWeights, randomX} from '../grid/layouts.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {handles} from '../support/tensorflow.js';
import {variantsOf} from '../support/variants.js';

const WITHOUT_ADD_ON = process.env.TFJS_LINEAR_NATIVE === 'off';

/** [128 + some rows, and a K with a short last chunk] */
const LARGE: readonly NamedWeight[] = [
  buildWeight('4 bits', {n: 330, k: 1056, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]]}, 21),
  buildWeight(
    '3 bits, groups of 16',
    {
      n: 70,
      k: 512,
      planes: [2, 1],
      zero: 4,
      scales: [
        ['float16', 1, 256],
        ['int8', 1, 16],
      ],
    },
    22,
  ),
  buildWeight('6 bits, K = 1000', {n: 67, k: 1000, planes: [4, 2], zero: 32, scales: [['float16', 1, 8]]}, 23),
  buildWeight(
    '8-bit float blocks',
    {n: 150, k: 384, planes: [8], decode: {kind: 'float', type: 'float8_e4m3fn'}, scales: [['float32', 128, 128]]},
    24,
  ),
  buildWeight(
    '4-bit float',
    {n: 67, k: 1024, planes: [4], decode: {kind: 'float', type: 'float4_e2m1fn'}, scales: [['float8_e8m0fnu', 1, 32]]},
    25,
  ),
];

describe("backend 'tensorflow'", () => {
  onEachBackend((backend) => {
    const variants = variantsOf(backend);
    afterEach(() => variants.force(null));

    it('has the add-on unless it is switched off', async () => {
      const {addOn, reason, instructionSets} = await loadTensorflow();
      expect(addOn).toBe(!WITHOUT_ADD_ON);
      expect(reason).toContain(WITHOUT_ADD_ON ? 'TFJS_LINEAR_NATIVE is off' : 'tfjs_linear.node is loaded');
      expect(instructionSets.at(-1)).toBe(WITHOUT_ADD_ON ? undefined : 'portable');
      const layout = (LARGE[0] as NamedWeight).layout;
      expect(variants.choose(layout, 1, 'auto').variant).toBe(WITHOUT_ADD_ON ? 'composed' : `${instructionSets[0]}_rows`);
      expect(variants.choose(layout, 64, 'auto').variant).toBe(WITHOUT_ADD_ON ? 'composed' : `${instructionSets[0]}_panels`);
    });

    for (const variant of variants.names.filter((name) => !name.endsWith('_panels'))) {
      it(`unpacks every layout, ${variant}`, async () => {
        variants.force(variant);
        for (const named of [...randomWeights(), ...LARGE]) {
          const {layout, words, name} = named;
          const {outDim: n, inDim: k} = layout;
          const expected = unpacked(named);
          const weight = QuantizedWeight.fromWords(layout, words.slice());
          const [all, some] = [weight.dequantize(), weight.dequantizeRows([n - 1, 0, n >> 1])];
          expect((await all.data()).map((v) => v + 0))
            .withContext(name)
            .toEqual(expected);
          const rows = [n - 1, 0, n >> 1].flatMap((r) => [...expected.subarray(r * k, (r + 1) * k)]);
          expect((await some.data()).map((v) => v + 0))
            .withContext(`${name}, rows`)
            .toEqual(Float32Array.from(rows));
          tf.dispose([all, some]);
          weight.dispose();
        }
      });

      it(`decodes every code of the small floats, ${variant}`, async () => {
        variants.force(variant);
        for (const type of [
          'float8_e4m3fn',
          'float8_e5m2',
          'float8_e4m3fnuz',
          'float8_e5m2fnuz',
          'float4_e2m1fn',
          'float16',
          'bfloat16',
        ] as FloatType[]) {
          const table = decodeTable(type as Exclude<FloatType, 'float32'>);
          const bits = Math.log2(table.length);
          const named = buildWeight(type, {n: 2, k: table.length / 2, planes: [bits], decode: {kind: 'float', type}}, 1);
          const words = allocateWords(named.layout);
          packCodes(named.layout, partsOf(named.layout, words), Array.from(table.keys()));
          const weight = QuantizedWeight.fromWords(named.layout, words);
          const numbers = weight.dequantize();
          expect((await numbers.data()).map((v) => v + 0))
            .withContext(type)
            .toEqual(table.map((v) => v + 0));
          numbers.dispose();
          weight.dispose();
        }
      });
    }

    for (const variant of ['auto', ...variants.names]) {
      it(`multiplies many rows, ${variant}`, async () => {
        variants.force(variant === 'auto' ? null : variant);
        for (const named of LARGE) {
          const {layout, words, name} = named;
          const {outDim: n, inDim: k} = layout;
          const w = unpacked(named);
          const weight = QuantizedWeight.fromWords(layout, words.slice());
          const window = weight.window(n >> 2, n - 3);
          for (const m of [3, 17, 135]) {
            const values = randomX(m, k, m);
            const x = tf.tensor2d(values, [m, k]);
            const {bound} = variants.choose(layout, m, 'auto');
            const y = ops.quantizedMatMul(x, weight);
            const part = ops.quantizedMatMul(x, window, {inputPrecision: 'float32', activation: 'gelu'});
            expect(rowErrors(await y.data(), productOf(values, w, m, n), n, magnitudesOf(values, w, m, n)))
              .withContext(`${name}, M = ${m}`)
              .toBeLessThan(bound);
            const own = w.subarray((n >> 2) * k, (n - 3) * k);
            const error = rowErrors(
              await part.data(),
              productOf(values, own, m, window.outDim, null, 'gelu'),
              window.outDim,
              magnitudesOf(values, own, m, window.outDim),
            );
            expect(error).withContext(`${name}, window, M = ${m}`).toBeLessThan(1e-6);
            tf.dispose([x, y, part]);
          }
          window.dispose();
          weight.dispose();
        }
      });

      it(`gives gradients to x and the bias, ${variant}`, async () => {
        variants.force(variant === 'auto' ? null : variant);
        const named = LARGE[0] as NamedWeight;
        const {outDim: n, inDim: k} = named.layout;
        const w = unpacked(named);
        const transposed = Float32Array.from({length: n * k}, (_, i) => w[(i % n) * k + Math.floor(i / n)] as number);
        const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
        const dy = randomX(3, n, 9);
        const [x, bias, dyTensor] = [tf.tensor2d(randomX(3, k, 8), [3, k]), tf.tensor1d(randomX(1, n, 7)), tf.tensor2d(dy, [3, n])];
        const [dx, db] = tf.grads((a: tf.Tensor, b: tf.Tensor) => ops.quantizedMatMul(a, weight, {bias: b}))([x, bias], dyTensor) as [
          tf.Tensor,
          tf.Tensor,
        ];
        expect(rowErrors(await dx.data(), productOf(dy, transposed, 3, k), k)).toBeLessThan(1e-6);
        const sums = Float64Array.from({length: n}, (_, j) => [0, 1, 2].reduce((sum, i) => sum + (dy[i * n + j] as number), 0));
        expect(rowErrors(await db.data(), sums, n)).toBeLessThan(1e-6);
        tf.dispose([x, bias, dyTensor, dx, db]);
        weight.dispose();
      });

      it(`passes on NaN and infinity, and takes numbers of any size, ${variant}`, async () => {
        variants.force(variant === 'auto' ? null : variant);
        const named = LARGE[0] as NamedWeight;
        const {outDim: n, inDim: k} = named.layout;
        const w = unpacked(named);
        const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
        for (const [factor, odd] of [
          [1e-33, 0],
          [1e30, 0],
          [1, Number.NaN],
          [1, Infinity],
        ] as const) {
          const values = randomX(2, k, 6).map((v) => v * factor);
          if (odd !== 0) values[k + 5] = odd;
          const x = tf.tensor2d(values, [2, k]);
          const y = ops.quantizedMatMul(x, weight);
          const got = await y.data();
          expect(rowErrors(got.slice(0, n), productOf(values.subarray(0, k), w, 1, n), n))
            .withContext(`${factor}`)
            .toBeLessThan(1e-4);
          expect([...got.slice(n)].filter(Number.isFinite).length)
            .withContext(`${odd}`)
            .toBe(odd === 0 ? n : 0);
          tf.dispose([x, y]);
        }
        weight.dispose();
      });
    }

    it('keeps words on the device as the only copy, and gives them back as int32', async () => {
      variants.force('composed_device');
      const {layout, words} = LARGE[0] as NamedWeight;
      const before = handles();
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      const x = tf.tensor2d(randomX(2, layout.inDim), [2, layout.inDim]);
      const first = ops.quantizedMatMul(x, weight);
      const expected = await first.data();
      // x, y and the words.
      expect(handles() - before).toBe(3);
      expect(await weight.words.data()).toEqual(words);
      expect(handles() - before).toBe(3);
      const head = tf.slice(weight.words, [1], [3]);
      expect([...(await head.data())]).toEqual([...words.slice(1, 4)]);
      head.dispose();
      expect(handles() - before).toBe(3);
      const again = ops.quantizedMatMul(x, weight);
      expect(await again.data()).toEqual(expected);
      const copy = weight.slice({rows: [1, 5]});
      const rows = copy.dequantize();
      expect(rows.shape).toEqual([4, layout.inDim]);
      tf.dispose([x, first, again, rows]);
      copy.dispose();
      weight.dispose();
      expect(handles()).toBe(before);
    });

    it('gives the same on one thread and on three', async () => {
      const named = LARGE[0] as NamedWeight;
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const x = tf.tensor2d(randomX(40, named.layout.inDim), [40, named.layout.inDim]);
      const {threads, addOn} = await loadTensorflow();
      const results: Float32Array[] = [];
      for (const count of [1, 3]) {
        expect((await loadTensorflow(count)).threads).toBe(addOn ? count : 0);
        const y = ops.quantizedMatMul(x, weight);
        results.push((await y.data()) as Float32Array);
        y.dispose();
      }
      expect(results[0]).toEqual(results[1] as Float32Array);
      if (addOn) await loadTensorflow(threads);
      x.dispose();
      weight.dispose();
    });

    it('refuses rows that the weight does not have', () => {
      const {layout, words} = LARGE[0] as NamedWeight;
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      for (const variant of variants.names) {
        variants.force(variant);
        const rows = tf.tensor1d([0, layout.outDim], 'int32');
        expect(() => weight.dequantizeRows(rows)).toThrowError(/UnpackWeight: rows.*\[0, 330\)/);
        rows.dispose();
      }
      weight.dispose();
    });
  });
});
