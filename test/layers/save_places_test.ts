/** Where tf.js saves to: IndexedDB and downloads in a browser, files in Node. The same bits come back, for every class and kind of weight. */
import * as tf from '@tensorflow/tfjs';
import {DType, Linear, openCheckpoint, quantizeModel} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {filesOf} from '../support/checkpoints.js';
import {IN_BROWSER} from '../support/environment.js';
import {SAMPLES} from './every_class.js';
import {around, flatLayers, randomTensor, saveAndLoad, take} from './layers_support.js';

interface Made {
  readonly model: tf.LayersModel;
  readonly width: number;
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
  ...Object.fromEntries(SAMPLES.map(({name, make, width}) => [name, async () => ({model: around(await make(), width), width})])),
  'a larger model': larger,
};

async function expectSame(loaded: tf.LayersModel, {model, width}: Made): Promise<void> {
  const classesOf = (m: tf.LayersModel) => flatLayers(m).map((layer) => layer.constructor);
  expect(classesOf(loaded)).toEqual(classesOf(model));
  const [is, was] = [loaded.getWeights(), model.getWeights()];
  expect(is.length).toBe(was.length);
  for (let i = 0; i < was.length; i++) expect(await is[i]?.data()).toEqual(await was[i]?.data());
  const x = randomTensor([2, width], 8);
  expect(await take(loaded.predict(x) as tf.Tensor)).toEqual(await take(model.predict(x) as tf.Tensor));
  x.dispose();
  loaded.dispose();
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

/** model.json and weights.bin in a folder, as `file://` of tfjs-node has them. */
async function throughFolder(model: tf.LayersModel): Promise<tf.LayersModel> {
  const [fs, os, path] = await Promise.all(['node:fs/promises', 'node:os', 'node:path'].map((name) => import(name)));
  const folder: string = await fs.mkdtemp(path.join(os.tmpdir(), 'tfl-'));
  try {
    await model.save(
      tf.io.withSaveHandler(async ({modelTopology, weightSpecs, weightData}) => {
        const manifest = [{paths: ['weights.bin'], weights: weightSpecs}];
        await fs.writeFile(path.join(folder, 'model.json'), JSON.stringify({modelTopology, weightsManifest: manifest}));
        await fs.writeFile(path.join(folder, 'weights.bin'), new Uint8Array(weightData as ArrayBuffer));
        return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
      }),
    );
    const read = async (name: string) => new File([await fs.readFile(path.join(folder, name))], name);
    const {modelTopology, weightsManifest} = JSON.parse(await (await read('model.json')).text());
    const weightData = await (await read('weights.bin')).arrayBuffer();
    return await tf.loadLayersModel({load: async () => ({modelTopology, weightSpecs: weightsManifest[0].weights, weightData})});
  } finally {
    await fs.rm(folder, {recursive: true});
  }
}

describe('saving to places', () => {
  for (const [name, make] of Object.entries(MODELS)) {
    if (IN_BROWSER) {
      it(`${name}: IndexedDB and downloads`, async () => {
        const made = await make();
        const url = `indexeddb://${name}`;
        await made.model.save(url);
        await expectSame(await tf.loadLayersModel(url), made);
        await tf.io.removeModel(url);
        const files = await downloads(made.model);
        expect(files.map((file) => file.name)).toEqual(['model.json', 'model.weights.bin']);
        await expectSame(await tf.loadLayersModel(tf.io.browserFiles(files)), made);
        made.model.dispose();
      });
    } else {
      it(`${name}: a folder`, async () => {
        const made = await make();
        await expectSame(await throughFolder(made.model), made);
        made.model.dispose();
      });
    }
  }

  it('a checkpoint layer keeps where it came from', async () => {
    const c = caseNamed('gguf_q4_k');
    const checkpoint = await openCheckpoint((await filesOf(c)).files);
    const layer = await checkpoint.linear(c.module);
    await checkpoint.close();
    const loaded = (await saveAndLoad(layer)) as Linear;
    expect(loaded.origin).toEqual(layer.origin);
    expect(loaded.origin?.parts[0]?.origin.format).toBe('gguf');
    layer.dispose();
    loaded.dispose();
  });
});
