/** What every layer does on every backend: any rank, the same from each way of calling, its gradients, training, disposal. */
import * as tf from '@tensorflow/tfjs';
import {activateTensor} from '../../kernels/gradients.js';
import {type Linear, MLP} from '../../src/index.js';
import {BACKENDS, onEachBackend} from '../support/backends.js';
import {IN_BROWSER} from '../support/environment.js';
import {rowErrors} from '../support/errors.js';
import {describeWebGPU} from '../support/webgpu.js';
import {SAMPLES, type Sample} from './every_class.js';
import {randomTensor, take} from './layers_support.js';

/** Shapes of x: rank 1 to 4, and no rows. A static scale for each row of x is for that many rows only. */
function shapesOf({name, width}: Sample): number[][] {
  return /by block/.test(name) ? [[2, width]] : [[width], [3, width], [2, 3, width], [2, 1, 2, width], [0, width]];
}

/** x . W^T + b in tf.js ops over the unpacked weight. */
function product(layer: Linear, x: tf.Tensor): tf.Tensor {
  const clip = layer.clipWeight;
  const w = layer.weight.dequantize();
  const y = tf.matMul(x, clip === null ? w : tf.clipByValue(w, -clip, clip), false, true);
  const biased = layer.bias === null ? y : tf.add(y, layer.bias);
  return layer.activation === 'relu' ? tf.relu(biased) : biased;
}

function reference(layer: Linear | MLP, x: tf.Tensor): tf.Tensor {
  if (!(layer instanceof MLP)) return product(layer, x);
  const gated = tf.mul(activateTensor(layer.activationFunction, product(layer.gateProj, x)), product(layer.upProj, x));
  return product(layer.downProj, gated);
}

const values = async (layer: tf.LayersModel) => Promise.all(layer.getWeights().map(async (t) => Array.from(await t.data())));

const define = (samples: readonly Sample[]) => (backend: string) => {
  // Packed products on wasm round x to 16-bit integers.
  const bound = backend === 'wasm' ? 1e-4 : 1e-5;
  for (const sample of samples) {
    const {name, make, width, trains} = sample;

    it(`${name}: the same from every way of calling, at every rank; then it is gone`, async () => {
      const start = tf.memory().numTensors;
      const layer = await make();
      for (const shape of shapesOf(sample)) {
        const x = randomTensor(shape, 7);
        const y = layer.forward(x);
        expect(y.shape).toEqual([...shape.slice(0, -1), layer instanceof MLP ? layer.hiddenDim : layer.outDim]);
        const expected = await take(y);
        expect(expected.every(Number.isFinite)).toBeTrue();
        for (const other of [layer.predict(x), await layer.forwardAsync(x), ...(shape.length > 1 ? [layer.apply(x) as tf.Tensor] : [])]) {
          expect(await take(other)).toEqual(expected);
        }
        x.dispose();
      }
      layer.dispose();
      expect(tf.memory().numTensors).toBe(start);
    });

    it(`${name}: the gradient of x`, async () => {
      const layer = await make();
      const [x, weight] = [randomTensor([2, width], 5), randomTensor([2, layer instanceof MLP ? layer.hiddenDim : layer.outDim], 6)];
      const through = (f: (x: tf.Tensor) => tf.Tensor) => tf.grad((t: tf.Tensor) => tf.sum(tf.mul(f(t), weight)))(x);
      const is = through((t) => layer.forward(t));
      const expected = through((t) => reference(layer, t));
      expect(rowErrors(await is.data(), await expected.data(), width)).toBeLessThanOrEqual(bound);
      tf.dispose([x, weight, is, expected]);
      layer.dispose();
    });

    it(`${name}: fit moves ${trains}`, async () => {
      const layer = await make();
      const before = await values(layer);
      const shapes = layer.trainableWeights.map((w) => w.shape.length);
      expect(shapes.every((rank) => rank === 1)).toBe(trains !== 'all');
      const [x, y] = [randomTensor([2, width], 1), randomTensor([2, layer instanceof MLP ? layer.hiddenDim : layer.outDim], 2)];
      layer.compile({optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError'});
      if (trains === 'nothing') {
        await expectAsync(layer.fit(x, y, {epochs: 1, verbose: 0})).toBeRejectedWithError(
          /fit: expected something that trains.*packed weights alone, which are frozen/,
        );
      } else {
        const {history} = await layer.fit(x, y, {epochs: 3, verbose: 0, shuffle: false});
        const loss = history.loss as number[];
        expect(loss[2] as number).toBeLessThan(loss[0] as number);
        const trainable = new Set(layer.trainableWeights.map((w) => w.name));
        const after = await values(layer);
        layer.weights.forEach((w, i) => {
          const moved = before[i]?.some((v, j) => v !== after[i]?.[j]) ?? false;
          expect(moved).withContext(w.name).toBe(trainable.has(w.name));
        });
      }
      tf.dispose([x, y]);
      layer.optimizer.dispose();
      layer.dispose();
    });
  }
};

// Compiling its shaders takes half a minute: once, not in Node as well, where saving runs every class on it.
if (IN_BROWSER) describeWebGPU('every class', () => define(SAMPLES)('webgpu'));

describe('every class', () => {
  // cpu and wasm are the same in Node and in a page.
  onEachBackend(define(SAMPLES), IN_BROWSER ? ['webgl'] : BACKENDS);
});
