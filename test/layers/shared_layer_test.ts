/** A layer of ours in several models, or several times in one: it goes with the last of them, as a Dense does. */
import * as tf from '@tensorflow/tfjs';
import {Linear, MLP, type QuantizedWeight} from '../../src/index.js';

const MAKERS: Readonly<Record<string, () => tf.LayersModel>> = {
  'a dense Linear': () => new Linear({inDim: 8, outDim: 8, hasBias: true}),
  'a packed Linear': () => new Linear({inDim: 8, outDim: 8, dtype: 'bfloat16'}),
  'an MLP': () => new MLP({hiddenDim: 8, feedForwardLength: 4}),
};

/** x -> relu -> layer, `times` times. */
function modelOf(layer: tf.layers.Layer, times: number): tf.LayersModel {
  const input = tf.input({shape: [8]});
  let y = tf.layers.reLU().apply(input) as tf.SymbolicTensor;
  for (let i = 0; i < times; i++) y = layer.apply(y) as tf.SymbolicTensor;
  return tf.model({inputs: input, outputs: y});
}

const begins = (layer: tf.layers.Layer) => tf.sequential({layers: [layer, tf.layers.reLU()]});

/** Two models that a layer is in. */
const PAIRS: Readonly<Record<string, (layer: tf.layers.Layer) => readonly [tf.LayersModel, tf.LayersModel]>> = {
  'in two models': (layer) => [modelOf(layer, 1), modelOf(layer, 1)],
  'at the beginning of two tf.sequential': (layer) => [begins(layer), begins(layer)],
  'at the beginning of one tf.sequential and inside another': (layer) => [
    begins(layer),
    tf.sequential({layers: [tf.layers.reLU({inputShape: [8]}), layer]}),
  ],
};

describe('a layer that is shared', () => {
  beforeAll(() => tf.setBackend('cpu'));

  for (const [name, make] of Object.entries(MAKERS)) {
    for (const [how, both] of Object.entries(PAIRS)) {
      it(`${name} ${how} lives until both are disposed`, () => {
        const before = tf.memory().numTensors;
        const layer = make();
        const [first, second] = both(layer);
        const x = tf.ones([2, 8]);
        const held = tf.memory().numTensors;
        first.dispose();
        expect(tf.memory().numTensors).toBe(held);
        const y = second.predict(x) as tf.Tensor;
        expect(y.shape).toEqual([2, 8]);
        second.dispose();
        expect(() => layer.predict(x)).toThrowError(/disposed/);
        tf.dispose([x, y]);
        expect(tf.memory().numTensors).toBe(before);
        expect(layer.dispose().numDisposedVariables).toBe(0);
      });
    }

    it(`${name} twice in one model is freed by it and by its maker`, () => {
      const before = tf.memory().numTensors;
      const layer = make();
      const model = modelOf(layer, 2);
      const x = tf.ones([2, 8]);
      const y = model.predict(x) as tf.Tensor;
      tf.dispose([x, y]);
      model.dispose();
      layer.dispose();
      expect(tf.memory().numTensors).toBe(before);
    });
  }
});

describe('a window of a packed weight', () => {
  it('counts its share of the bytes', () => {
    const layer = new Linear({inDim: 64, outDim: 5, quantizationEncoding: 'Q4_0'});
    const weight = layer.weight as QuantizedWeight;
    const parts = [weight.window(0, 1), weight.window(1, 5), weight.window(2, 2)];
    expect(parts.map((part) => part.byteLength)).toEqual([weight.byteLength / 5, (4 * weight.byteLength) / 5, 0]);
    expect(parts.map((part) => part.shape)).toEqual([
      [1, 64],
      [4, 64],
      [0, 64],
    ]);
    for (const part of parts) part.dispose();
    expect(weight.isDisposed).toBeFalse();
    layer.dispose();
  });
});
