/** Saving in a browser: IndexedDB, and files that are downloaded and picked again. The same bits come back, for every class and type of weight. */
import * as tf from '@tensorflow/tfjs';
import {DType, Linear, MLP, openCheckpoint, quantizeModel} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {packedLayer, randomTensor, saveAndLoad, take} from '../layers/layers_support.js';
import {filesOf} from '../support/checkpoints.js';
import {IN_BROWSER} from '../support/environment.js';

interface Made {
  readonly model: tf.LayersModel;
  readonly width: number;
}

async function packed(name: string): Promise<Made> {
  return {model: await packedLayer(name), width: caseNamed(name).inDim};
}

/** A model that holds a list of packed layers of several formats, nested (keras-team/keras#23321). */
async function larger(): Promise<Made> {
  const source = tf.sequential({layers: [tf.layers.dense({units: 8, inputShape: [6], activation: 'relu'}), tf.layers.dense({units: 8})]});
  const {model: inner} = await quantizeModel(source, {mode: 'int4', groupSize: 4});
  source.dispose();
  const input = tf.input({shape: [6]});
  const layers = [new Linear({inDim: 8, outDim: 8, dtype: DType.float16}), new Linear({inDim: 8, outDim: 8, hasBias: true})];
  let y = inner.apply(input) as tf.SymbolicTensor;
  for (const layer of layers) y = layer.apply(y) as tf.SymbolicTensor;
  return {model: tf.model({inputs: input, outputs: y}), width: 6};
}

const MODELS: Readonly<Record<string, () => Promise<Made>>> = {
  'a dense Linear': async () => ({model: new Linear({inDim: 5, outDim: 3, hasBias: true}), width: 5}),
  'a float16 Linear': async () => ({model: new Linear({inDim: 5, outDim: 3, dtype: DType.float16}), width: 5}),
  'a bfloat16 Linear': async () => ({model: new Linear({inDim: 5, outDim: 3, dtype: DType.bfloat16}), width: 5}),
  'a GPTQLinear with act-order': () => packed('gptq_b4_g64_asym_act_v2'),
  'a biased GPTQLinear': () => packed('gptq_b4_g128_sym_v1_bias'),
  'a Linear of K-quant blocks': () => packed('gguf_q4_k'),
  'an MLP': async () => ({model: new MLP({hiddenDim: 5, feedForwardLength: 7, hasBias: true}), width: 5}),
  'a larger model': larger,
};

async function expectSame(loaded: tf.LayersModel, {model, width}: Made): Promise<void> {
  expect(loaded.constructor).toBe(model.constructor);
  const [is, was] = [loaded.getWeights(), model.getWeights()];
  expect(is.length).toBe(was.length);
  for (let i = 0; i < was.length; i++) expect(await is[i]?.data()).toEqual(await was[i]?.data());
  const x = randomTensor([2, width], 8);
  expect(await take(loaded.predict(x) as tf.Tensor)).toEqual(await take(model.predict(x) as tf.Tensor));
  x.dispose();
  for (const m of [loaded, model]) m.dispose();
}

/** What the browser would have downloaded. */
async function downloads(model: tf.LayersModel): Promise<File[]> {
  const clicked: Promise<File>[] = [];
  const create = document.createElement.bind(document);
  const spy = spyOn(document, 'createElement').and.callFake(((tag: string) => {
    const element = create(tag);
    if (element instanceof HTMLAnchorElement) {
      element.dispatchEvent = () => {
        const {download, href} = element;
        clicked.push(fetch(href).then(async (response) => new File([await response.blob()], download)));
        return true;
      };
    }
    return element;
  }) as typeof document.createElement);
  await model.save('downloads://model');
  spy.and.callThrough();
  return Promise.all(clicked);
}

describe('saving to the places of a browser', () => {
  for (const [name, make] of Object.entries(MODELS)) {
    if (IN_BROWSER) {
      it(`${name}: IndexedDB`, async () => {
        const made = await make();
        const url = `indexeddb://${name}`;
        await made.model.save(url);
        const loaded = await tf.loadLayersModel(url);
        await tf.io.removeModel(url);
        await expectSame(loaded, made);
      });

      it(`${name}: downloads`, async () => {
        const made = await make();
        const files = await downloads(made.model);
        expect(files.map((file) => file.name)).toEqual(['model.json', 'model.weights.bin']);
        await expectSame(await tf.loadLayersModel(tf.io.browserFiles(files)), made);
      });
    } else {
      it(`${name}: a handler, in Node`, async () => {
        const made = await make();
        await expectSame(await saveAndLoad(made.model), made);
      });
    }
  }

  it('a checkpoint layer keeps where it came from', async () => {
    const c = caseNamed('gguf_q4_k');
    const checkpoint = await openCheckpoint((await filesOf(c)).files);
    const layer = await checkpoint.linear(c.module);
    const loaded = (await saveAndLoad(layer)) as Linear;
    expect(loaded.origin).toEqual(layer.origin);
    expect(loaded.origin?.parts[0]?.origin.format).toBe('gguf');
    for (const l of [layer, loaded]) l.dispose();
    await checkpoint.close();
  });
});
