/** keras-team/keras#23321 (P090): layers that a model held in a list were saved without their values. */
import * as tf from '@tensorflow/tfjs';
import type {Linear, QuantizedWeight} from '../../src/index.js';
import {packedLayer, randomTensor, saveAndLoad, take} from '../layers/layers_support.js';

describe('keras-team/keras#23321', () => {
  it('a model that holds a list of packed layers has all of them after loading', async () => {
    const names = ['gptq_b4_g64_sym_act_v1_bias', 'gptq_b8_g128_sym_v1', 'gptq_b3_g32_asym_act_v2'];
    const layers: Linear[] = [];
    for (const name of names) layers.push(await packedLayer(name));
    const inputs = layers.map((layer) => tf.input({shape: [layer.inDim]}));
    const model = tf.model({inputs, outputs: layers.map((layer, i) => layer.apply(inputs[i] as tf.SymbolicTensor) as tf.SymbolicTensor)});
    const loaded = await saveAndLoad(model);
    for (const layer of layers) {
      const twin = loaded.getLayer(layer.name) as Linear;
      expect(await (twin.weight as QuantizedWeight).words.data()).toEqual(await (layer.weight as QuantizedWeight).words.data());
    }
    const x = layers.map((layer) => randomTensor([2, layer.inDim], 6));
    const [was, is] = [model.predict(x) as tf.Tensor[], loaded.predict(x) as tf.Tensor[]];
    for (let i = 0; i < was.length; i++) expect(await take(is[i] as tf.Tensor)).toEqual(await take(was[i] as tf.Tensor));
    tf.dispose(x);
    for (const m of [model, loaded]) m.dispose();
  });
});
