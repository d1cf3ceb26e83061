/** qwopqwop200/GPTQ-for-LLaMa#1 (P047): packing failed where a layer had no bias. */
import * as tf from '@tensorflow/tfjs';
import {type Linear, quantizeModel} from '../../src/index.js';

describe('qwopqwop200/GPTQ-for-LLaMa#1', () => {
  it('a layer without a bias is packed and stays without one', async () => {
    const model = tf.sequential({layers: [tf.layers.dense({units: 3, inputShape: [4], useBias: false})]});
    const {model: small} = await quantizeModel(model, {mode: 'int8'});
    const layer = small.layers[0] as Linear;
    expect(layer.hasBias).toBeFalse();
    expect(layer.bias).toBeNull();
    expect(small.getWeights().length).toBe(1);
    model.dispose();
    small.dispose();
  });
});
