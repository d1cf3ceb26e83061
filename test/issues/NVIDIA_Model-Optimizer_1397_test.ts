/** NVIDIA/Model-Optimizer#1397 (P058): a block of zeros got the scale 0 / 0. */
import * as tf from '@tensorflow/tfjs';
import {partsOf} from '../../kernels/words.js';
import type {Linear, QuantizedWeight, QuantizeMode} from '../../src/index.js';
import {quantizeModel} from '../../src/index.js';

describe('NVIDIA/Model-Optimizer#1397', () => {
  for (const mode of ['int8', 'int4', 'float8'] satisfies QuantizeMode[]) {
    it(`${mode}: a block of zeros has a finite scale and decodes to zeros`, async () => {
      const model = tf.sequential({layers: [tf.layers.dense({units: 2, inputShape: [8], useBias: false})]});
      // Output 1 is all zeros, and so is the second group of output 0.
      const kernel = tf.tensor2d(Array.from({length: 8}, (_, k) => [k < 4 ? k + 1 : 0, 0]));
      model.setWeights([kernel]);
      const {model: small} = await quantizeModel(model, mode === 'float8' ? {mode} : {mode, groupSize: 4});
      const weight = (small.layers[0] as Linear).weight as QuantizedWeight;
      for (const scale of partsOf(weight.layout, weight.words.dataSync() as Int32Array).scales[0] as Float32Array) {
        expect(Number.isFinite(scale)).toBeTrue();
      }
      const values = weight.dequantize();
      const [first, ...rest] = Array.from(values.dataSync()).slice(3);
      expect(first).toBeCloseTo(4, 0);
      expect(rest).toEqual(new Array(12).fill(0));
      tf.dispose([kernel, values]);
      model.dispose();
      small.dispose();
    });
  }
});
