/** Weights larger than one texture: the words lie in an array of textures, and every kernel reads them there. */
import * as tf from '@tensorflow/tfjs';
import {RowReader} from '../../kernels/cpu/row.js';
import {WEBGL_VARIANTS} from '../../kernels/webgl/choose.js';
import {WEBGL_VARIANT_FLAG} from '../../kernels/webgl/matmul.js';
import {type WordsTexture, wordsTexture} from '../../kernels/webgl/words_texture.js';
import {partsOf} from '../../kernels/words.js';
import {DeviceError, ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {numbersOfAsync, positive} from '../support/numbers.js';
import {layoutWords} from '../support/plain_words.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {describeWebgl, gpuBytes, webglBackend, withFlags} from '../support/webgl.js';
import {buildWeight, type NamedWeight, randomWeights, randomX, seeded} from './layouts.js';

const BOUND = 1e-6;

/** The words on the GPU, in textures of at most size x size texels, four words each; everything else has the device's own. */
async function uploaded(weight: QuantizedWeight, size: number): Promise<WordsTexture> {
  let texture: WordsTexture | null = null;
  await withFlags({WEBGL_MAX_TEXTURE_SIZE: size}, async () => {
    texture = wordsTexture(webglBackend(), weight.words.dataId, weight.layout);
  });
  return texture as unknown as WordsTexture;
}

async function tiled({layout, words}: NamedWeight, size = 2): Promise<QuantizedWeight> {
  const weight = QuantizedWeight.fromWords(layout, words.slice());
  expect((await uploaded(weight, size)).layered).toBeTrue();
  return weight;
}

const CASES = [
  'int1 g32',
  'int3 g64 zeros',
  'int4 g128 zeros',
  'int6 g16 two levels',
  'int8 per channel',
  'int4 superblock',
  'e4m3fn blocks 16x32',
  'e2m1 e4m3 g16, divide',
  'table g64',
  'int4 g32 zeros ordered',
  'int4 indexed ordered',
  'int5 K=70 offset',
  'int4 ordered cut',
];

describeWebgl('an array of textures', () => {
  const weights = randomWeights().filter(({name}) => CASES.includes(name));

  for (const named of weights) {
    const {layout, name} = named;
    const {outDim: n, inDim: k} = layout;

    it(`unpacks ${name}, whole and by rows`, async () => {
      const weight = await tiled(named);
      const w = unpacked(named);
      expect(positive(await numbersOfAsync(weight.dequantize()))).toEqual(w);
      const rows = [n - 1, 0, n >> 1];
      const wanted = rows.flatMap((r) => [...w.subarray(r * k, (r + 1) * k)]);
      expect(positive(await numbersOfAsync(weight.dequantizeRows(rows)))).toEqual(Float32Array.from(wanted));
      expect(await weight.words.data()).toEqual(named.words);
      weight.dispose();
    });

    for (const variant of WEBGL_VARIANTS) {
      it(`multiplies ${name}, ${variant}`, async () => {
        const w = unpacked(named);
        await withFlags({[WEBGL_VARIANT_FLAG]: variant}, async () => {
          const weight = await tiled(named);
          for (const m of [1, 5]) {
            const values = randomX(m, k, m);
            const x = tf.tensor2d(values, [m, k]);
            const y = await numbersOfAsync(ops.quantizedMatMul(x, weight));
            expect(rowErrors(y, productOf(values, w, m, n), n, magnitudesOf(values, w, m, n))).toBeLessThan(BOUND);
            x.dispose();
          }
          weight.dispose();
        });
      });
    }
  }

  it('has every case', () => {
    expect(weights.map(({name}) => name).sort()).toEqual([...CASES].sort());
  });

  it('holds every 32-bit word, the last texture in part', async () => {
    const random = seeded(19);
    const hard = [-1, 0x7fffffff, -0x80000000, 0x01000001, 0x7f800001, -0x7fffff, 0];
    const words = Int32Array.from({length: 70001}, (_, i) => hard[i % 9973] ?? Math.floor(random() * 2 ** 32) | 0);
    const before = gpuBytes();
    const weight = QuantizedWeight.fromWords(layoutWords(words.length, 8), words.slice());
    // 17501 texels: 35 textures of 16 lines of 32.
    expect(await uploaded(weight, 32)).toEqual(jasmine.objectContaining({layered: true, shift: 5, layerShift: 4}));
    expect(gpuBytes() - before).toBe(35 * 16 * 32 * 16);
    expect(await weight.words.data()).toEqual(words);
    expect(await numbersOfAsync(weight.dequantize())).toEqual(Float32Array.from(new Uint8Array(words.buffer)));
    weight.dispose();
    expect(gpuBytes()).toBe(before);
  });

  it('carries a gradient to x', async () => {
    const named = buildWeight('gradient', {n: 12, k: 64, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]], ordered: true}, 1);
    const weight = await tiled(named);
    const x = tf.tensor2d(randomX(2, 64), [2, 64]);
    const dx = tf.grad((a: tf.Tensor) => tf.sum(ops.quantizedMatMul(a, weight)))(x);
    const w = unpacked(named);
    const columns = productOf(
      Float32Array.from({length: 24}, () => 1),
      transposed(w, 12, 64),
      2,
      64,
    );
    expect(rowErrors(await numbersOfAsync(dx), columns, 64)).toBeLessThan(BOUND);
    x.dispose();
    weight.dispose();
  });

  it('multiplies x rounded to 8 bits', async () => {
    const named = weights.find(({name}) => name === 'e4m3fn blocks 16x32') as NamedWeight;
    const {outDim: n, inDim: k} = named.layout;
    const weight = await tiled(named);
    const x = tf.tensor2d(randomX(3, k), [3, k]);
    const options = {inputOrigin: 'dynamic', inputGranularity: 'colwise'} as const;
    const here = await numbersOfAsync(ops.fp8ScaledMatMul(x, weight, options));
    weight.dispose();
    const whole = QuantizedWeight.fromWords(named.layout, named.words.slice());
    expect(here).toEqual(await numbersOfAsync(ops.fp8ScaledMatMul(x, whole, options)));
    expect(here.length).toBe(3 * n);
    whole.dispose();
    x.dispose();
  });

  it('reads the right row of a weight over the first texture', async () => {
    // The last rows lie past the first texture of 64 x 64 texels, and its scales in the last one.
    const named = buildWeight('rows', {n: 600, k: 256, planes: [4], zero: 8, scales: [['float16', 1, 32]]}, 4);
    const weight = await tiled(named, 64);
    const reader = new RowReader(named.layout, partsOf(named.layout, named.words));
    for (const r of [0, 511, 512, 599]) {
      const row = new Float32Array(256);
      reader.read(r, row);
      expect(positive(await numbersOfAsync(weight.dequantizeRows([r])))).toEqual(positive(row));
    }
    weight.dispose();
  });

  it('refuses a weight over all textures with both numbers, and leaves it whole', async () => {
    const {gl} = webglBackend().gpgpu;
    const most = gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS) as number;
    // Textures of 4 x 4 texels: 64 words each.
    const words = new Int32Array(most * 64 + 1).fill(7);
    const weight = QuantizedWeight.fromWords(layoutWords(words.length), words.slice());
    await expectAsync(uploaded(weight, 4)).toBeRejectedWithError(
      DeviceError,
      new RegExp(`at most ${most * 64} words, which ${most} textures of 4 x 4.*${words.length} words`, 's'),
    );
    expect(await weight.words.data()).toEqual(words);
    weight.dispose();
  });
});

function transposed(w: Float32Array, n: number, k: number): Float32Array {
  return Float32Array.from({length: n * k}, (_, i) => w[(i % n) * k + Math.floor(i / n)] as number);
}
