/** fit() and gradients: dense weights and biases learn, packed ones stay. */
import * as tf from '@tensorflow/tfjs';
import {Linear, MLP, type QuantizedWeight, UnsupportedError} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {packedLayer, packedMLP, randomTensor, take} from './layers_support.js';

/** Loss by epoch, each of one batch. */
async function losses(model: tf.LayersModel, x: tf.Tensor, y: tf.Tensor, rate: number): Promise<number[]> {
  const optimizer = tf.train.sgd(rate);
  model.compile({optimizer, loss: 'meanSquaredError'});
  const {history} = await model.fit(x, y, {epochs: 6, batchSize: x.shape[0] as number, verbose: 0, shuffle: false});
  optimizer.dispose();
  return history.loss as number[];
}

function expectFalling(history: readonly number[]): void {
  for (let i = 1; i < history.length; i++) expect(history[i] as number).toBeLessThan(0.999 * (history[i - 1] as number));
}

/** Fixed numbers in place of random ones. */
function seed(layer: Linear | MLP): void {
  const state = layer.stateDict();
  const small = Object.entries(state).map(([key, t], i): [string, tf.Tensor] => [
    key,
    tf.tidy(() => tf.mul(randomTensor(t.shape, 20 + i), 0.3)),
  ]);
  layer.loadStateDict(Object.fromEntries(small));
  tf.dispose([state, Object.fromEntries(small)]);
}

describe('training', () => {
  onEachBackend(() => {
    it('a dense Linear alone: weight and bias', async () => {
      const layer = new Linear({inDim: 6, outDim: 3, hasBias: true});
      seed(layer);
      const [x, y] = [randomTensor([16, 6], 1), randomTensor([16, 3], 2)];
      const before = [await take(layer.weight.dequantize()), Array.from(await (layer.bias as tf.Tensor).data())];
      expectFalling(await losses(layer, x, y, 0.1));
      const after = [await take(layer.weight.dequantize()), Array.from(await (layer.bias as tf.Tensor).data())];
      expect(after[0]?.every((v, i) => v !== before[0]?.[i])).toBe(true);
      expect(after[1]?.every((v, i) => v !== before[1]?.[i])).toBe(true);
      tf.dispose([x, y]);
      layer.dispose();
    });

    it('through a packed layer to a dense one; the packed words stay, its bias learns', async () => {
      const packed = await packedLayer('gptq_b4_g64_sym_act_v1_bias');
      const first = new Linear({inDim: 8, outDim: 256, hasBias: true});
      seed(first);
      const model = tf.sequential({layers: [first, packed]});
      expect(model.trainableWeights.map((w) => w.shape)).toEqual([[256, 8], [256], [96]]);
      const [x, y] = [randomTensor([16, 8], 1), randomTensor([16, 96], 2)];
      const weight = packed.weight as QuantizedWeight;
      const words = Array.from(await weight.words.data());
      const bias = Array.from(await (packed.bias as tf.Tensor).data());
      const dense = await take(first.weight.dequantize());
      expectFalling(await losses(model, x, y, 0.1));
      expect(Array.from(await weight.words.data())).toEqual(words);
      expect(Array.from(await (packed.bias as tf.Tensor).data())).not.toEqual(bias);
      expect(await take(first.weight.dequantize())).not.toEqual(dense);
      tf.dispose([x, y]);
      model.dispose();
    });

    it('a dense MLP, and the biases of a packed one', async () => {
      for (const mlp of [new MLP({hiddenDim: 64, feedForwardLength: 32}), await packedMLP({bias: true})]) {
        if (mlp.gateUp === null) seed(mlp);
        const [x, y] = [randomTensor([8, 64], 1), randomTensor([8, 64], 2)];
        expect(mlp.trainableWeights.length).toBe(mlp.gateUp === null ? 3 : 2);
        expectFalling(await losses(mlp, x, y, 0.01));
        tf.dispose([x, y]);
        mlp.dispose();
      }
    });

    it('gives the gradients of the same layer written in tf.js ops', async () => {
      const layer = new Linear({inDim: 6, outDim: 3, hasBias: true});
      const weight = layer.weight.dequantize();
      const bias = layer.bias as tf.Tensor1D;
      const x = randomTensor([4, 6], 3);
      const f = (y: tf.Tensor): tf.Scalar => tf.sum(tf.square(y)) as tf.Scalar;
      const ours = tf.variableGrads(() => f(layer.forward(x)));
      const theirs = tf.grads((w: tf.Tensor, b: tf.Tensor) => f(tf.add(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D, false, true), b)))([
        weight,
        bias,
      ]);
      const found = Object.values(ours.grads);
      expect(found.length).toBe(2);
      for (const [i, expected] of theirs.entries()) {
        const [got, want] = [Array.from(await (found[i] as tf.Tensor).data()), Array.from(await expected.data())];
        got.forEach((v, j) => {
          expect(Math.abs(v - (want[j] as number))).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(want[j] as number)));
        });
      }
      tf.dispose([ours, theirs, weight, x]);
      layer.dispose();
    });
  });

  it('passes through a weight that is unpacked in several parts', () => {
    // Two rows of W are 2^22 floats: as much as is unpacked at a time.
    const [inDim, outDim] = [2 ** 21, 5];
    const layer = new Linear({inDim, outDim, quantizationEncoding: 'Q8_0'});
    const blocks = inDim / 32;
    const bytes = new Int32Array(outDim * blocks * 34);
    // Scales of 1 (0x3c00), and codes that tell every row from the others.
    for (let i = 0; i < bytes.length; i++) bytes[i] = i % 34 < 2 ? (i % 34) * 0x3c : Math.floor(i / (blocks * 34)) + 1;
    tf.tidy(() => layer.loadStateDict({weight: tf.tensor2d(bytes, [outDim, blocks * 34])}));
    const dx = tf.tidy(() => tf.grad((x) => layer.forward(x))(tf.zeros([1, inDim]), tf.tensor2d([[1, 10, 100, 1000, 10000]])));
    expect(dx.dataSync().every((v) => v === 54321)).toBeTrue();
    dx.dispose();
    layer.dispose();
  });

  it('is refused alike by every way to train, where packed weights are all there is', async () => {
    const before = tf.memory().numTensors;
    const mlp = await packedMLP({bias: false});
    for (const layer of [
      new Linear({inDim: 32, outDim: 3, quantizationEncoding: 'Q8_0'}),
      await packedLayer('gptq_b4_g64_asym_act_v2'),
      mlp,
    ]) {
      const [x, y] = layer instanceof MLP ? [tf.ones([2, 64]), tf.ones([2, 64])] : [tf.ones([2, layer.inDim]), tf.ones([2, layer.outDim])];
      const data = tf.data.array([{xs: x, ys: y}]) as unknown as Parameters<typeof layer.fitDataset>[0];
      const optimizer = tf.train.sgd(0.1);
      layer.compile({optimizer, loss: 'meanSquaredError'});
      const ways: (() => Promise<unknown>)[] = [
        () => layer.fit(x, y),
        () => layer.fitDataset(data, {epochs: 1}),
        () => layer.trainOnBatch(x, y),
      ];
      for (const train of ways) {
        await expectAsync(train()).toBeRejectedWithError(UnsupportedError, /fit: expected something that trains.*packed weights alone/);
      }
      tf.dispose([x, y]);
      optimizer.dispose();
      layer.dispose();
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it('is off where trainable is false', () => {
    const layer = new Linear({inDim: 6, outDim: 3, hasBias: true, trainable: false});
    expect(layer.trainableWeights).toEqual([]);
    layer.trainable = true;
    expect(layer.trainableWeights.length).toBe(2);
    layer.dispose();
  });
});
