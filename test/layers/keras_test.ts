/** Habits of tf.layers: what a layer says of itself, alone and inside models of tf.js's own classes. */
import * as tf from '@tensorflow/tfjs';
import {DistributedMLP, MLP, ShapeError} from '../../src/index.js';
import {SAMPLES} from './every_class.js';
import {around, saveAndLoad} from './layers_support.js';

/** A linear layer's own numbers: weight and bias. */
function parametersOf(layer: Awaited<ReturnType<(typeof SAMPLES)[number]['make']>>): number {
  const linears = layer instanceof MLP ? [layer.gateProj, layer.upProj, layer.downProj] : [layer];
  return linears.reduce((sum, {inDim, outDim, hasBias}) => sum + inDim * outDim + (hasBias ? outDim : 0), 0);
}

function summaryOf(model: tf.LayersModel): string {
  const lines: string[] = [];
  model.summary(undefined, undefined, (line) => lines.push(String(line)));
  return lines.join('\n');
}

describe('as in tf.layers', () => {
  beforeAll(() => tf.setBackend('cpu'));

  for (const {name, make} of SAMPLES) {
    it(`${name}: counts parameters, not words, in every model; summary prints them and the bytes`, async () => {
      const layer = await make();
      const count = parametersOf(layer);
      expect(layer.countParams()).toBe(count);
      const summary = summaryOf(layer);
      expect(summary).toContain(`Total params: ${count}\n`);
      expect(summary).toContain(`Weight bytes: ${layer.byteLength}`);
      // A static scale of x is one more weight to tf.js.
      const scale = layer instanceof MLP ? 0 : (layer.inputScale?.size ?? 0);
      const width = layer instanceof MLP ? layer.hiddenDim : layer.outDim;
      const model = around(layer, layer instanceof MLP ? layer.hiddenDim : layer.inDim);
      expect(model.countParams()).toBe(count + scale + 3 * width + 3);
      expect(summaryOf(model)).toContain(`Total params: ${count + scale + 3 * width + 3}\n`);
      model.dispose();
    });

    it(`${name}: a symbolic x of another width is refused when the model is built`, async () => {
      const layer = await make();
      const width = layer instanceof MLP ? layer.hiddenDim : layer.inDim;
      expect(() => layer.apply(tf.input({shape: [width + 1]}))).toThrowError(
        ShapeError,
        new RegExp(`${layer.name}.*\\[\\?,${width + 1}\\]`),
      );
      expect((layer.apply(tf.input({shape: [null, width]})) as tf.SymbolicTensor).shape.length).toBe(3);
      layer.dispose();
    });

    it(`${name}: trainable, and names of weights that stay`, async () => {
      const layer = await make();
      const trains = layer.trainableWeights.length;
      layer.trainable = false;
      expect([layer.trainableWeights.length, layer.nonTrainableWeights.length]).toEqual([0, layer.weights.length]);
      layer.trainable = true;
      expect(layer.trainableWeights.length).toBe(trains);
      const loaded = await saveAndLoad(layer);
      expect(loaded.name).toBe(layer.name);
      // tf.js adds '_1' to a name while another variable has it.
      expect(loaded.weights.map((w) => w.originalName)).toEqual(layer.weights.map((w) => w.originalName));
      for (const weight of layer.weights) expect(weight.name.startsWith(layer.name) || layer instanceof MLP).toBeTrue();
      layer.dispose();
      loaded.dispose();
    });
  }

  it('a class has one name in files, whatever a minifier calls it', () => {
    const known = tf.serialization.SerializationMap.getMap().classNameMap;
    const names = ['Linear', 'MLP', 'GPTQLinear', 'StackedLinear', 'ShardedLinear', 'ColumnParallelLinear', 'DistributedMLP', 'LinearV1'];
    for (const name of [...names, 'QLinearV1', 'GPTQLinearV1', 'MLPV1']) expect(known[`Tfl${name}`]?.[0]).toBeDefined();
    expect(known.TflDistributedMLP?.[0] as unknown).toBe(DistributedMLP);
  });
});
