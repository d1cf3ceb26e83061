/** Every layout the record can express on every webgpu kernel, every code of the small floats, and arithmetic to the last bit. */
import * as tf from '@tensorflow/tfjs';
import {WEBGPU_VARIANTS} from '../../kernels/choose.js';
import {decodeTable} from '../../kernels/float_codes.js';
import {type FloatType, grid, type WeightLayout} from '../../kernels/layout.js';
import {roundedPolynomial} from '../../kernels/rounded_polynomial.js';
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {type Activation, ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {positive} from '../support/numbers.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {rowsOfCodes, TABLES} from '../support/tables.js';
import {describeWebGPU, withProfile, withVariant} from '../support/webgpu.js';
import {buildWeight, type NamedWeight, randomWeights, randomX} from './layouts.js';

const BOUND = 1e-6;
const ACTIVATIONS: readonly (Activation | null)[] = [null, 'silu', 'gelu', 'gelu_tanh', 'relu', 'tanh', 'sigmoid'];
const floats = async (t: tf.Tensor) => (await t.data()) as Float32Array;

/** x [m, K] times the weight, with a bias and an activation, against float64 sums. */
async function expectProduct(named: NamedWeight, weight: QuantizedWeight, m: number, act: Activation | null): Promise<void> {
  const {outDim: n, inDim: k} = named.layout;
  const w = unpacked(named);
  const values = randomX(m, k, m);
  const biasValues = randomX(1, n, 7);
  const x = tf.tensor2d(values, [m, k]);
  const bias = tf.tensor1d(biasValues);
  const y = ops.quantizedMatMul(x, weight, {bias, activation: act});
  const error = rowErrors(await y.data(), productOf(values, w, m, n, biasValues, act), n, magnitudesOf(values, w, m, n, biasValues));
  expect(error).withContext(`${named.name}, M = ${m}, ${act}`).toBeLessThan(BOUND);
  tf.dispose([x, bias, y]);
}

/** What SwiftShader has too: shader-f16 is not among it. */
const TESTED = WEBGPU_VARIANTS.filter((v) => v !== 'gemv_subgroup' && v !== 'gemm_tiles_f16');

describeWebGPU('kernels', () => {
  randomWeights().forEach((named, place) => {
    const {layout, words, name} = named;
    const {outDim: n, inDim: k} = layout;

    it(`unpacks ${name}`, async () => {
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      const expected = unpacked(named);
      const all = weight.dequantize();
      expect(positive(await floats(all))).toEqual(expected);
      const rows = [n - 1, 0, n - 1];
      const some = weight.dequantizeRows(rows);
      expect(positive(await floats(some))).toEqual(Float32Array.from(rows.flatMap((r) => [...expected.subarray(r * k, (r + 1) * k)])));
      const window = weight.window(n >> 1, n);
      const half = window.dequantize();
      expect(positive(await floats(half))).toEqual(expected.subarray((n >> 1) * k));
      tf.dispose([all, some, half]);
      window.dispose();
      weight.dispose();
    });

    it(`multiplies ${name} by every kernel`, async () => {
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      await expectProduct(named, weight, 1, null);
      for (const variant of TESTED) {
        await withVariant(variant, () => expectProduct(named, weight, 3, ACTIVATIONS[place % ACTIVATIONS.length] as Activation | null));
      }
      weight.dispose();
    });
  });

  for (const name of [
    'int4 g128 zeros',
    'int3 K=40 g32',
    'int6 g16 two levels',
    'int4 superblock',
    'e4m3fn blocks 16x32',
    'int8 g32 ordered',
  ]) {
    it(`multiplies ${name} by the tiles of a GPU`, async () => {
      const named = randomWeights().find((w) => w.name === name) as NamedWeight;
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      await withProfile({software: false}, () => withVariant('gemm_tiles', () => expectProduct(named, weight, 70, null)));
      weight.dispose();
    });

    it(`multiplies ${name} by the rows and lanes of a GPU`, async () => {
      const named = randomWeights().find((w) => w.name === name) as NamedWeight;
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      await withProfile({software: false}, () => withVariant('gemv_tree', () => expectProduct(named, weight, 1, null)));
      weight.dispose();
    });
  }

  for (const activation of ACTIVATIONS) {
    it(`activates, ${activation}`, async () => {
      const edges = [
        -1e30,
        -200,
        -100.5,
        -88,
        -30,
        -9,
        -4,
        -1,
        -1e-3,
        -1e-6,
        0,
        1e-6,
        1e-3,
        0.5,
        1,
        4,
        9,
        30,
        88,
        1e30,
        Number.NEGATIVE_INFINITY,
      ];
      const named = buildWeight('identity', {n: 4, k: 4, planes: [32], decode: {kind: 'float', type: 'float32'}}, 1);
      const parts = partsOf(named.layout, named.words);
      parts.codes.fill(0);
      for (let i = 0; i < 4; i++) parts.codes[i * 4 + i] = 0x3f800000;
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const values = Float32Array.from({length: edges.length * 4}, (_, i) => (i % 4 === 0 ? (edges[i >> 2] as number) : 0));
      const x = tf.tensor2d(values.slice(), [edges.length, 4]);
      const single = weight.window(0, 1);
      const y = await withVariant('plain', async () => ops.quantizedMatMul(x, single, {activation}));
      const got = await floats(y);
      const expected = productOf(values, Float32Array.of(1, 0, 0, 0), edges.length, 1, null, activation);
      got.forEach((v, i) => {
        const ref = expected[i] as number;
        // Far left an activation is what is left of x after cancellation: measured by x's own last place there.
        const scale = Math.max(Math.abs(ref), Math.min(Math.abs(edges[i] as number), 10) * 0.1);
        const same = v === ref || Math.abs(v - ref) <= 1e-6 * scale;
        if (Number.isFinite(edges[i] as number)) expect(same).withContext(`${activation}(${edges[i]}) = ${v}, not ${ref}`).toBe(true);
      });
      tf.dispose([x, y]);
      single.dispose();
      weight.dispose();
    });
  }

  for (const type of [
    'float8_e4m3fn',
    'float8_e5m2',
    'float8_e4m3fnuz',
    'float8_e5m2fnuz',
    'float4_e2m1fn',
    'float16',
    'bfloat16',
  ] as const) {
    it(`knows every code of ${type}`, async () => {
      const table = decodeTable(type);
      const bits = Math.log2(table.length);
      const [n, k] = bits === 16 ? [4096, 16] : [table.length, 16];
      const {layout} = buildWeight(type, {n, k, planes: [bits], decode: {kind: 'float', type: type as FloatType}}, 1);
      const words = allocateWords(layout);
      // One code a row, or each once.
      const codeOf = (i: number) => (bits === 16 ? i : i >> 4);
      packCodes(
        layout,
        partsOf(layout, words),
        Uint32Array.from({length: n * k}, (_, i) => codeOf(i)),
      );
      const weight = QuantizedWeight.fromWords(layout, words);
      const all = weight.dequantize();
      expect(positive(await floats(all))).toEqual(Float32Array.from({length: n * k}, (_, i) => (table[codeOf(i)] as number) + 0));
      if (bits <= 8) {
        const x = tf.ones([1, k]) as tf.Tensor2D;
        for (const variant of ['gemv_thread', 'gemv_tree', 'gemm_tiles', 'plain']) {
          const y = await withVariant(variant, async () => ops.quantizedMatMul(x, weight));
          expect(positive(await floats(y)))
            .withContext(variant)
            .toEqual(Float32Array.from(table, (v) => v * 16 + 0));
          y.dispose();
        }
        x.dispose();
      }
      all.dispose();
      weight.dispose();
    });
  }

  for (const [kind, table, arithmetic] of [
    ['near a polynomial', TABLES['near a polynomial'], true],
    ['in no order', TABLES['in no order'], false],
    ['of fractions', [...Array(16).keys()].map((i) => i / 8 - 1), false],
  ] as const) {
    it(`knows every code of a table ${kind}, wherever it stands`, async () => {
      expect(roundedPolynomial(table) !== null).toBe(arithmetic);
      const [n, k] = [16, 16];
      const weight = rowsOfCodes(table, k);
      const each = tf.eye(k);
      for (const variant of ['gemv_thread', 'gemv_tree', 'gemm_registers', 'gemm_tiles', 'plain']) {
        const y = await withVariant(variant, async () => ops.quantizedMatMul(each, weight));
        expect([...(await floats(y))])
          .withContext(variant)
          .toEqual(Array.from({length: n * k}, (_, i) => table[i % n] as number));
        y.dispose();
      }
      each.dispose();
      weight.dispose();
    });
  }

  for (const type of ['float8_e4m3fn', 'float8_e4m3fnuz', 'float8_e5m2'] as const) {
    it(`gives NaN for a row with one NaN of ${type}, wherever it stands, and for no other`, async () => {
      const [n, k] = [20, 40];
      const {layout} = buildWeight(type, {n, k, planes: [8], decode: {kind: 'float', type}}, 1);
      const words = allocateWords(layout);
      const nan = type === 'float8_e4m3fnuz' ? 0x80 : 0xff;
      // The largest and the smallest numbers are near the codes of NaN.
      const others =
        type === 'float8_e4m3fnuz' ? [0x7f, 0xff, 0x81, 0x00] : type === 'float8_e5m2' ? [0x7b, 0xfb, 1, 0x80] : [0x7e, 0xfe, 1, 0x80];
      const place = (row: number) => (row < 16 ? 2 * row + 5 : -1);
      const codes = Uint32Array.from({length: n * k}, (_, i) =>
        i % k === place(Math.floor(i / k)) ? nan : (others[(i * 7) % 4] as number),
      );
      packCodes(layout, partsOf(layout, words), codes);
      const weight = QuantizedWeight.fromWords(layout, words);
      for (const [variant, m] of [
        ['gemv_thread', 1],
        ['gemv_tree', 1],
        ['gemm_registers', 6],
        ['gemm_tiles', 2],
      ] as const) {
        const x = tf.fill([m, k], 0.5) as tf.Tensor2D;
        const y = await withVariant(variant, async () => ops.quantizedMatMul(x, weight));
        const got = [...(await floats(y))].map(Number.isNaN);
        expect(got)
          .withContext(variant)
          .toEqual(Array.from({length: m * n}, (_, i) => i % n < 16));
        tf.dispose([x, y]);
      }
      weight.dispose();
    });
  }

  it('knows every scale of e8m0, the subnormal one too', async () => {
    const named = buildWeight(
      'e8m0',
      {n: 256, k: 16, planes: [4], decode: {kind: 'float', type: 'float4_e2m1fn'}, scales: [['float8_e8m0fnu', 1, 16]]},
      1,
    );
    const parts = partsOf(named.layout, named.words);
    parts.scales[0]?.set(Array.from({length: 256}, (_, i) => i));
    packCodes(
      named.layout,
      parts,
      Array.from({length: 4096}, (_, i) => i & 15).map((c, i) => c & ~(((parts.codes[i >> 3] as number) >>> ((i & 7) * 4)) & 15)),
    );
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const all = weight.dequantize();
    expect(positive(await floats(all))).toEqual(unpacked(named));
    all.dispose();
    weight.dispose();
  });

  for (const divide of [false, true]) {
    it(`${divide ? 'divides' : 'multiplies'} as IEEE 754 does, for any bits`, async () => {
      const [n, k] = [64, 64];
      const layout: WeightLayout = {
        outDim: n,
        inDim: k,
        planes: [32],
        decode: {kind: 'float', type: 'float32'},
        zero: {kind: 'none'},
        scales: [{grid: grid(n, k, 1, 1), type: 'float32', divide}],
        offsets: [],
        ordered: false,
        indexed: false,
      };
      const words = allocateWords(layout);
      const parts = partsOf(layout, words);
      const scaleBits = new Uint32Array((parts.scales[0] as Float32Array).buffer, (parts.scales[0] as Float32Array).byteOffset, n * k);
      let state = 12345;
      const next = () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return (state ^ (state >>> 13)) >>> 0;
      };
      for (let i = 0; i < n * k; i++) {
        // A third ordinary, a third near the subnormals, a third anything at all.
        const shape = i % 3;
        const limit = (bits: number, exponent: number) => ((bits & 0x80ffffff) | (exponent << 23)) >>> 0;
        parts.codes[i] = shape === 2 ? next() : limit(next(), shape === 0 ? 120 + (i % 9) : i % 70);
        scaleBits[i] = shape === 2 ? next() : limit(next(), shape === 0 ? 120 + (i % 7) : divide ? 120 + (i % 70) : 60 + (i % 70));
      }
      const named = {name: 'bits', layout, words: words.slice()};
      const weight = QuantizedWeight.fromWords(layout, words);
      const all = weight.dequantize();
      const got = positive(await floats(all));
      const expected = unpacked(named);
      const wrong = [...expected.keys()].filter(
        (i) => got[i] !== expected[i] && !(Number.isNaN(got[i] as number) && Number.isNaN(expected[i] as number)),
      );
      expect(wrong.slice(0, 4).map((i) => [i, got[i], expected[i]])).toEqual([]);
      all.dispose();
      weight.dispose();
    });
  }

  it('gives NaN for a row outside the weight that only the device knows of, and throws for one on the host', async () => {
    const named = buildWeight('rows', {n: 5, k: 32, planes: [4], zero: 8, scales: [['float32', 1, 32]]}, 1);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const host = tf.tensor1d([0, 5], 'int32');
    expect(() => weight.dequantizeRows(host)).toThrowError(/row indices in \[0, 5\)/);
    tf.env().set('WEBGPU_CPU_FORWARD', false);
    const moved = tf.tidy(() => tf.add(host, tf.scalar(0, 'int32')));
    tf.env().set('WEBGPU_CPU_FORWARD', true);
    const rows = weight.dequantizeRows(moved);
    const got = await floats(rows);
    expect(positive(got.slice(0, 32))).toEqual(unpacked(named).slice(0, 32));
    expect(got.slice(32).every(Number.isNaN)).toBe(true);
    tf.dispose([host, moved, rows]);
    weight.dispose();
  });
});
