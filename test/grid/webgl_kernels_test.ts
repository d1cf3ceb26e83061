/** Every layout the record can express on every webgl variant, and x in every state tf.js keeps it in. */
import * as tf from '@tensorflow/tfjs';
import {chooseWebgl, WEBGL_VARIANTS} from '../../kernels/webgl/choose.js';
import {WEBGL_VARIANT_FLAG} from '../../kernels/webgl/matmul.js';
import {allocateWords, partsOf} from '../../kernels/words.js';
import {type Activation, ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {positive} from '../support/numbers.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {describeWebgl, withFlags} from '../support/webgl.js';
import {buildWeight, type NamedWeight, randomWeights, randomX} from './layouts.js';

const BOUND = 1e-6;
const ACTIVATIONS: readonly (Activation | null)[] = [null, 'silu', 'gelu', 'gelu_tanh', 'relu', 'tanh', 'sigmoid'];
async function expectProduct(named: NamedWeight, weight: QuantizedWeight, x: tf.Tensor2D, act: Activation | null = null): Promise<void> {
  const [m, n] = [x.shape[0], named.layout.outDim];
  const biasValues = randomX(1, n, 7);
  const bias = tf.tensor1d(biasValues);
  const y = ops.quantizedMatMul(x, weight, {bias, activation: act});
  const w = unpacked(named);
  const xs = (await x.data()) as Float32Array;
  const error = rowErrors(await y.data(), productOf(xs, w, m, n, biasValues, act), n, magnitudesOf(xs, w, m, n, biasValues));
  expect(error).withContext(`${named.name}, M = ${m}, ${act}`).toBeLessThan(BOUND);
  tf.dispose([bias, y]);
}

describeWebgl('kernels', () => {
  for (const named of randomWeights()) {
    const {layout, words, name} = named;
    const {outDim: n, inDim: k} = layout;

    it(`unpacks ${name}`, async () => {
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      const expected = unpacked(named);
      const all = weight.dequantize();
      expect(positive((await all.data()) as Float32Array)).toEqual(expected);
      const rows = [n - 1, 0, n - 1];
      const some = weight.dequantizeRows(rows);
      const wanted = rows.flatMap((r) => [...expected.subarray(r * k, (r + 1) * k)]);
      expect(positive((await some.data()) as Float32Array)).toEqual(Float32Array.from(wanted));
      const window = weight.window(n >> 1, n);
      const half = window.dequantize();
      expect(positive((await half.data()) as Float32Array)).toEqual(expected.subarray((n >> 1) * k));
      tf.dispose([all, some, half]);
      window.dispose();
      weight.dispose();
    });

    for (const variant of WEBGL_VARIANTS) {
      it(`multiplies ${name}, ${variant}`, async () => {
        await withFlags({[WEBGL_VARIANT_FLAG]: variant}, async () => {
          const weight = QuantizedWeight.fromWords(layout, words.slice());
          for (const m of [1, 2, 7]) {
            const x = tf.tensor2d(randomX(m, k, m), [m, k]);
            await expectProduct(named, weight, x, ACTIVATIONS[(m + n) % ACTIVATIONS.length]);
            x.dispose();
          }
          weight.dispose();
        });
      });
    }
  }

  it('unpacks scales and products below the normal float32 numbers', async () => {
    const named = buildWeight('small', {n: 8, k: 64, planes: [4], zero: 8, scales: [['float8_e8m0fnu', 1, 32]]}, 6);
    const parts = partsOf(named.layout, named.words);
    parts.scales[0]?.set([0, 1, 2, 3, 4, 127, 253, 254, 0, 0, 1, 1, 125, 126, 127, 128]);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const all = weight.dequantize();
    expect(positive((await all.data()) as Float32Array)).toEqual(unpacked(named));
    all.dispose();
    weight.dispose();
  });

  it('unpacks every subnormal float16 scale', async () => {
    const named = buildWeight('half', {n: 1023, k: 4, planes: [8], zero: 0, scales: [['float16', 1, 4]]}, 6);
    partsOf(named.layout, named.words).scales[0]?.set(Uint16Array.from({length: 1023}, (_, i) => i + 1));
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const all = weight.dequantize();
    expect(positive((await all.data()) as Float32Array)).toEqual(unpacked(named));
    all.dispose();
    weight.dispose();
  });

  it('divides to the last bit', async () => {
    const named = buildWeight(
      'divided',
      {
        n: 64,
        k: 64,
        planes: [16],
        decode: {kind: 'float', type: 'bfloat16'},
        scales: [
          ['float32', 1, 4, true],
          ['float32', 2, 8, true],
        ],
      },
      8,
    );
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const all = weight.dequantize();
    expect(positive((await all.data()) as Float32Array)).toEqual(unpacked(named));
    all.dispose();
    weight.dispose();
  });

  it('takes a chosen row from the device, and shows one that does not exist as NaN', async () => {
    const named = buildWeight('rows', {n: 9, k: 10, planes: [4], zero: 8, scales: [['float32', 1, 10]]}, 2);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    // A sum of more than a few values is on the device.
    const rows = tf.tidy(() => tf.add(tf.zeros([200], 'int32'), tf.range(0, 200, 1, 'int32')).sub(tf.scalar(1, 'int32')) as tf.Tensor1D);
    const all = weight.dequantizeRows(rows);
    const expected = unpacked(named);
    const wanted = Float32Array.from({length: 2000}, (_, i) => (i < 10 || i >= 100 ? Number.NaN : (expected[i - 10] as number)));
    expect(positive((await all.data()) as Float32Array)).toEqual(wanted);
    tf.dispose([rows, all]);
    const outside = tf.tensor1d([9], 'int32');
    expect(() => weight.dequantizeRows(outside)).toThrowError(/row indices in \[0, 9\)/);
    outside.dispose();
    weight.dispose();
  });

  it('has chosen each variant where it can run', () => {
    const variants = randomWeights().map(({layout}) => chooseWebgl(layout, 1, layout.outDim).variant);
    expect(new Set(variants)).toEqual(new Set(WEBGL_VARIANTS));
    const {layout} = buildWeight('split', {n: 64, k: 4096, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 1);
    expect(chooseWebgl(layout, 1, 64).splits).toBe(16);
    expect(chooseWebgl(layout, 4096, 64).splits).toBe(1);
  });

  it('adds up the parts of a K that is split', async () => {
    const named = buildWeight('split', {n: 7, k: 2304, planes: [4], zero: [1, 128], scales: [['float16', 1, 128]]}, 1);
    expect(chooseWebgl(named.layout, 3, 7).splits).toBeGreaterThan(4);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    for (const m of [1, 2, 3]) {
      const x = tf.tensor2d(randomX(m, 2304, m), [m, 2304]);
      await expectProduct(named, weight, x);
      x.dispose();
    }
    weight.dispose();
  });

  it('keeps scales and zeros of eight units, from whichever a part of K begins with', async () => {
    const [m, n, k] = [800, 64, 2048];
    const named = buildWeight('ahead', {n, k, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]]}, 1);
    // 64 units in 3 parts: they begin at 0, 21 and 42.
    expect(chooseWebgl(named.layout, m, n).splits).toBe(3);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const x = tf.tensor2d(randomX(m, k, m), [m, k]);
    await expectProduct(named, weight, x);
    x.dispose();
    weight.dispose();
  });

  it('keeps to 1e-6 where all of x is positive', async () => {
    const named = buildWeight('positive', {n: 24, k: 4096, planes: [8], zero: 128, scales: [['float32', 1, 4096]]}, 11);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const x = tf.tensor2d(
      randomX(2, 4096).map((v) => v + 1),
      [2, 4096],
    );
    await expectProduct(named, weight, x);
    x.dispose();
    weight.dispose();
  });

  for (const [act, low, high] of [
    ['silu', -30, 10],
    // Further out the reference, 1 + erf, cancels; and e^x magnifies what x has lost (2e-6 at -5, of a gelu_tanh of -2e-7).
    ['gelu', -5, 8],
    ['gelu_tanh', -3, 8],
    ['tanh', -1e-3, 1e-3],
    ['tanh', -10, 10],
    ['sigmoid', -40, 40],
    ['relu', -1, 1],
  ] as const) {
    it(`computes ${act} of each number in [${low}, ${high}] to a few units in the last place`, async () => {
      // One row of W that is 1: y is act(x), each a row of its own.
      const {layout} = buildWeight('one', {n: 1, k: 4, planes: [8]}, 1);
      const words = allocateWords(layout);
      words[0] = 1;
      const weight = QuantizedWeight.fromWords(layout, words);
      const x = new Float32Array(4 * 801);
      for (let i = 0; i <= 800; i++) x[4 * i] = low + ((high - low) * i) / 800;
      const xt = tf.tensor2d(x, [801, 4]);
      const y = ops.quantizedMatMul(xt, weight, {activation: act});
      expect(rowErrors(await y.data(), productOf(x, Float32Array.of(1, 0, 0, 0), 801, 1, null, act), 1)).toBeLessThan(BOUND);
      tf.dispose([xt, y]);
      weight.dispose();
    });
  }

  it('gives activations their limits', async () => {
    const {layout} = buildWeight('one', {n: 1, k: 1, planes: [8]}, 1);
    const words = allocateWords(layout);
    words[0] = 1;
    const weight = QuantizedWeight.fromWords(layout, words);
    const x = tf.tensor2d([-Infinity, Infinity, Number.NaN, -1000, 1000], [5, 1]);
    for (const act of ACTIVATIONS.slice(1) as Activation[]) {
      const y = ops.quantizedMatMul(x, weight, {activation: act});
      const expected = productOf(await x.data(), Float32Array.of(1), 5, 1, null, act);
      expect([...(await y.data())])
        .withContext(act)
        .toEqual([...expected].map((v) => v + 0));
      y.dispose();
    }
    x.dispose();
    weight.dispose();
  });

  describe('x', () => {
    const states: Readonly<Record<string, (m: number, k: number) => tf.Tensor2D>> = {
      'on the host': (m, k) => tf.tensor2d(randomX(m, k, 4), [m, k]),
      packed: (m, k) =>
        tf.tidy(
          () =>
            tf.relu(
              tf.matMul(tf.randomUniform([m, 40], -1, 1, 'float32', 1), tf.randomUniform([40, k], -1, 1, 'float32', 2)),
            ) as tf.Tensor2D,
        ),
      unpacked: (m, k) => tf.tidy(() => tf.randomUniform([m, k], -1, 1, 'float32', 3).cumsum(0) as tf.Tensor2D),
      sliced: (m, k) => tf.tidy(() => tf.slice(tf.randomUniform([m + 3, k], -1, 1, 'float32', 4).add(1) as tf.Tensor2D, [1, 0], [m, k])),
      'sliced by columns': (m, k) =>
        tf.tidy(() => tf.slice(tf.randomUniform([m, k + 5], -1, 1, 'float32', 5).add(1) as tf.Tensor2D, [0, 3], [m, k])),
      reshaped: (m, k) => tf.tidy(() => tf.reshape(tf.randomUniform([k, m], -1, 1, 'float32', 6).add(1), [m, k])),
      transposed: (m, k) => tf.tidy(() => tf.transpose(tf.randomUniform([k, m], -1, 1, 'float32', 7)) as tf.Tensor2D),
    };
    const structures = {
      blocks: buildWeight('blocks', {n: 37, k: 256, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 1),
      ordered: buildWeight('ordered', {n: 37, k: 256, planes: [4], zero: 8, scales: [['float16', 1, 32]], ordered: true}, 1),
      odd: buildWeight('odd', {n: 5, k: 93, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 1),
    };
    for (const [state, make] of Object.entries(states)) {
      for (const [name, named] of Object.entries(structures)) {
        it(`${state}, ${name}`, async () => {
          const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
          for (const m of [1, 3]) {
            const x = make(m, named.layout.inDim);
            await expectProduct(named, weight, x);
            x.dispose();
          }
          weight.dispose();
        });
      }
    }
  });

  it('gives tensors that later ops of tf.js use', async () => {
    for (const [m, n] of [
      [1, 37],
      [3, 37],
      [5, 2050],
      [2, 1],
    ] as const) {
      const named = buildWeight('later', {n, k: 64, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 1);
      const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
      const x = randomX(m, 64, 2);
      const sums = tf.tidy(() => {
        const y = ops.quantizedMatMul(tf.tensor2d(x, [m, 64]), weight);
        return tf.stack([tf.sum(tf.relu(y)), tf.sum(tf.mul(tf.softmax(y), tf.reshape(y, [m, n]))), tf.max(tf.concat([y, y], 0))]);
      });
      const wanted = tf.tidy(() => {
        const y = tf.tensor2d(Float32Array.from(productOf(x, unpacked(named), m, n)), [m, n]);
        return tf.stack([tf.sum(tf.relu(y)), tf.sum(tf.mul(tf.softmax(y), y)), tf.max(y)]);
      });
      expect(rowErrors(await sums.data(), await wanted.data(), 3)).toBeLessThan(2e-6);
      tf.dispose([sums, wanted]);
      weight.dispose();
    }
  });

  it('propagates a gradient to x and the bias', async () => {
    const named = buildWeight('gradient', {n: 6, k: 32, planes: [4], zero: 8, scales: [['float16', 1, 32]], ordered: true}, 1);
    const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
    const x = tf.tensor2d(randomX(2, 32), [2, 32]);
    const bias = tf.zeros([6]);
    const total = (a: tf.Tensor, b: tf.Tensor) => tf.sum(ops.quantizedMatMul(a, weight, {bias: b})) as tf.Scalar;
    const grads = tf.grads(total)([x, bias]);
    const w = unpacked(named);
    const columns = Float32Array.from({length: 64}, (_, i) =>
      [0, 1, 2, 3, 4, 5].reduce((sum, r) => sum + (w[r * 32 + (i % 32)] as number), 0),
    );
    expect(rowErrors(await (grads[0] as tf.Tensor).data(), columns, 32)).toBeLessThan(BOUND);
    expect([...(await (grads[1] as tf.Tensor).data())]).toEqual([2, 2, 2, 2, 2, 2]);
    tf.dispose([x, bias, ...grads]);
    weight.dispose();
  });
});
