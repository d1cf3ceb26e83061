// https://github.com/tensorflow/tfjs/issues/7914: the WebGPU backend did not work inside a worker.
import * as tf from '@tensorflow/tfjs';
import {ops, QuantizedWeight} from '../../src/index.js';
import {buildWeight, randomX} from '../grid/layouts.js';
import {IN_BROWSER} from '../support/environment.js';
import {useWebGPU} from '../support/webgpu.js';

async function product(): Promise<Float32Array> {
  const named = buildWeight('worker', {n: 24, k: 128, planes: [4], zero: [1, 32], scales: [['float16', 1, 32]], ordered: true}, 24);
  await useWebGPU();
  const weight = QuantizedWeight.fromWords(named.layout, named.words);
  const x = tf.tensor2d(randomX(2, 128), [2, 128]);
  const y = ops.quantizedMatMul(x, weight, {activation: 'silu'});
  const values = (await y.data()) as Float32Array;
  tf.dispose([x, y]);
  weight.dispose();
  return values;
}

// The worker below loads this same bundle, with jasmine's functions doing nothing, and calls this.
(globalThis as {tflProduct?: typeof product}).tflProduct = product;

const WORKER = `
  for (const name of ['describe', 'fdescribe', 'xdescribe', 'it', 'beforeAll', 'beforeEach', 'afterEach', 'afterAll']) self[name] = () => undefined;
  self.jasmine = new Proxy({}, {get: () => () => undefined});
  self.onmessage = async ({data}) => {
    try {
      importScripts(data);
      self.postMessage({values: await self.tflProduct()});
    } catch (error) {
      self.postMessage({error: String(error)});
    }
  };
`;

if (IN_BROWSER) {
  describe('tensorflow/tfjs#7914', () => {
    afterAll(() => tf.setBackend('cpu'));

    it('a dedicated worker computes what the page does', async () => {
      const bundle = [...document.scripts].find(({src}) => /\/browser\.js/.test(src))?.src;
      expect(bundle).toBeDefined();
      const worker = new Worker(URL.createObjectURL(new Blob([WORKER], {type: 'text/javascript'})));
      try {
        const answer = await new Promise<{values?: Float32Array; error?: string}>((resolve, reject) => {
          worker.onmessage = ({data}) => resolve(data);
          worker.onerror = ({message}) => reject(new Error(message));
          worker.postMessage(bundle);
        });
        expect(answer.error).toBeUndefined();
        expect(answer.values).toEqual(await product());
      } finally {
        worker.terminate();
      }
    });
  });
}
