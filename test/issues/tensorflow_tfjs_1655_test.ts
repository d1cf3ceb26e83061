/** tensorflow/tfjs#1655 (P083): outputs changed after saving and loading. */
import * as tf from '@tensorflow/tfjs';
import {quantizeModel} from '../../src/index.js';
import {randomTensor, saveAndLoad, take} from '../layers/layers_support.js';
import {onEachBackend} from '../support/backends.js';

describe('tensorflow/tfjs#1655', () => {
  onEachBackend(() => {
    for (const mode of ['int8', 'int4', 'float8', 'float16', 'bfloat16'] as const) {
      it(`${mode}: quantise, save, load, forward: the same bits`, async () => {
        const model = tf.sequential({
          layers: [tf.layers.dense({units: 9, inputShape: [33], activation: 'selu'}), tf.layers.dense({units: 4})],
        });
        const {model: small} = await quantizeModel(model, {mode});
        const loaded = await saveAndLoad(small);
        const x = randomTensor([3, 33], 5);
        expect(await take(loaded.predict(x) as tf.Tensor)).toEqual(await take(small.predict(x) as tf.Tensor));
        x.dispose();
        for (const m of [model, small, loaded]) m.dispose();
      });
    }
  });
});
