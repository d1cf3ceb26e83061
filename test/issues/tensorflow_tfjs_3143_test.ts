/** P015, tensorflow/tfjs#3143: 16-bit float textures (Safari's) gave visibly wrong results. */
import * as tf from '@tensorflow/tfjs';
import {partsOf} from '../../kernels/words.js';
import {ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {rowErrors} from '../support/errors.js';
import {productOf, unpacked} from '../support/reference.js';
import {describeWebgl, withFlags} from '../support/webgl.js';

describeWebgl('tensorflow/tfjs#3143', () => {
  for (const type of ['float16', 'float32'] as const) {
    it(`scales near 1e-5 (${type}) keep their bits where textures hold 16-bit floats`, async () => {
      const [n, k, m] = [48, 256, 5];
      const named = buildWeight('small scales', {n, k, planes: [4], zero: 8, scales: [[type, 1, 32]]}, 15);
      // float16: counted in 2^-24, subnormal; as a 16-bit weight (q - 8) * 1e-5 would keep 7 bits.
      partsOf(named.layout, named.words).scales[0]?.forEach((_, i, scales) => {
        scales[i] = type === 'float16' ? 150 + (i % 40) : 1e-5 * (1 + (i % 7) / 10);
      });
      const w = unpacked(named);
      const x = randomX(m, k);
      await withFlags({WEBGL_RENDER_FLOAT32_ENABLED: false}, async () => {
        const weight = QuantizedWeight.fromWords(named.layout, named.words.slice());
        const xt = tf.tensor2d(x, [m, k]);
        const y = ops.quantizedMatMul(xt, weight);
        expect(rowErrors(await y.data(), productOf(x, w, m, n), n)).toBeLessThan(2e-3);
        const all = weight.dequantize();
        expect(((await all.data()) as Float32Array).map((v) => v + 0)).toEqual(w);
        tf.dispose([xt, y, all]);
        weight.dispose();
      });
    });
  }
});
