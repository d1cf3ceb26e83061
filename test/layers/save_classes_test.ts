/** save -> tf.loadLayersModel -> the same bits: every class and kind of weight, alone and deep inside a larger model, on every backend. */
import type * as tf from '@tensorflow/tfjs';
import {CASES} from '../grid/cases.js';
import {BACKENDS, onEachBackend} from '../support/backends.js';
import {IN_BROWSER} from '../support/environment.js';
import {describeWebGPU} from '../support/webgpu.js';
import {SAMPLES, type Sample} from './every_class.js';
import {around, packedLayer, randomTensor, saveAndLoad, take} from './layers_support.js';

async function expectSame(model: tf.LayersModel, width: number, nested: boolean): Promise<void> {
  const loaded = await saveAndLoad(model);
  expect(loaded.constructor).toBe(model.constructor);
  const [is, was] = [loaded.getWeights(), model.getWeights()];
  expect(is.map((w) => [w.shape, w.dtype])).toEqual(was.map((w) => [w.shape, w.dtype]));
  for (let i = 0; i < was.length; i++) {
    const [a, b] = [(await is[i]?.data()) as tf.TypedArray, (await was[i]?.data()) as tf.TypedArray];
    expect(new Uint8Array(a.slice().buffer)).toEqual(new Uint8Array(b.slice().buffer));
  }
  const x = randomTensor([2, width], 8);
  expect(await take(loaded.predict(x) as tf.Tensor)).toEqual(await take(model.predict(x) as tf.Tensor));
  // tf.js rewrites some of its own layers' arguments; ours come back as they were.
  if (!nested) expect({...loaded.getConfig(), saved: null}).toEqual({...model.getConfig(), saved: null});
  expect(loaded.countParams()).toBe(model.countParams());
  x.dispose();
  loaded.dispose();
}

async function check({make, width}: Pick<Sample, 'make' | 'width'>): Promise<void> {
  const layer = await make();
  await expectSame(layer, width, false);
  const model = around(layer, width);
  await expectSame(model, width, true);
  model.dispose();
}

const define = (samples: readonly Sample[]) => () => {
  for (const sample of samples) it(sample.name, () => check(sample));
};

describeWebGPU('save and load, alone and nested', define(SAMPLES));

describe('save and load, alone and nested', () => {
  // cpu and wasm are the same in Node and in a page.
  onEachBackend(define(SAMPLES), IN_BROWSER ? ['webgl'] : BACKENDS);

  for (const {name, inDim} of IN_BROWSER ? [] : CASES)
    it(`a checkpoint's layer, ${name}`, () => check({make: () => packedLayer(name), width: inDim}));
});
