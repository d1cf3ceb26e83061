/** P013, tensorflow/tfjs#689: a weight that needs a texture wider than the device's 4096. */
import * as tf from '@tensorflow/tfjs';
import {RowReader} from '../../kernels/cpu/row.js';
import {grid, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, partsOf} from '../../kernels/words.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {randomX} from '../grid/layouts.js';
import {rowErrors} from '../support/errors.js';
import {productOf} from '../support/reference.js';
import {describeWebgl, withFlags} from '../support/webgl.js';

const [K, N] = [16384, 4096];

describeWebgl('tensorflow/tfjs#689', () => {
  it('a weight 16384 -> 4096 runs within textures of 4096', async () => {
    const layout: WeightLayout = {
      outDim: N,
      inDim: K,
      planes: [4],
      decode: {kind: 'integer'},
      zero: {kind: 'constant', value: 8},
      scales: [{grid: grid(N, K, 1, 128), type: 'float16', divide: false}],
      offsets: [],
      ordered: false,
      indexed: false,
    };
    const words = allocateWords(layout);
    const parts = partsOf(layout, words);
    for (let i = 0; i < parts.codes.length; i++) parts.codes[i] = Math.imul(i + 1, 0x9e3779b1);
    // Between 2^-9 and 2^-8.
    parts.scales[0]?.forEach((_, i, scales) => {
      scales[i] = 0x1800 + ((i * 37) & 0x3ff);
    });
    // Some rows of W, the last among them, are enough to see a wrong address.
    const rows = Array.from({length: 64}, (_, i) => i * 65);
    const reader = new RowReader(layout, parts);
    const w = new Float32Array(rows.length * K);
    rows.forEach((n, i) => reader.read(n, w.subarray(i * K, (i + 1) * K)));
    const x = randomX(1, K);
    const expected = productOf(x, w, 1, rows.length);

    await withFlags({WEBGL_MAX_TEXTURE_SIZE: 4096}, async () => {
      const weight = QuantizedWeight.fromWords(layout, words);
      const xt = tf.tensor2d(x, [1, K]);
      const y = ops.quantizedMatMul(xt, weight);
      const values = await y.data();
      expect(
        rowErrors(
          Float32Array.from(rows, (n) => values[n] as number),
          expected,
          rows.length,
        ),
      ).toBeLessThan(1e-6);
      tf.dispose([xt, y]);
      weight.dispose();
    });
  });
});
