/** ColumnParallelLinear: rows over devices, and a weight tied to an embedding. */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  ColumnParallelLinear,
  columnParallelLinear,
  Linear,
  memory,
  type QuantizedWeight,
  ShapeError,
  UnsupportedError,
  UnusedTensorError,
} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {randomX} from '../grid/layouts.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';

beforeAll(async () => {
  await tf.setBackend('wasm');
  await tf.setBackend('cpu');
});

const ON_CPU = 'gptq_b4_g32_asym_v1_bias';

describe('ColumnParallelLinear', () => {
  it('takes one x, or one a device, and gives every device the whole', () => {
    const layer = columnParallelLinear({inDim: 3, outDim: 7, hasBias: true, devices: ['cpu', 'wasm', 'cpu'], name: 'head'});
    const dict = {'head.weight': tf.tensor2d(randomX(7, 3), [7, 3]), 'head.bias': tf.tensor1d(randomX(1, 7, 2))};
    layer.loadStateDict(dict);
    const x = tf.tensor2d(randomX(2, 3, 4), [2, 3]);
    const one = layer.forwardEach(x);
    const each = layer.forwardEach([x, x, x]);
    const alone = tf.tidy(() => tf.add(tf.matMul(x, dict['head.weight'], false, true), dict['head.bias']));
    for (const y of [...one, ...each]) expect(rowErrors(y.dataSync(), alone.dataSync(), 7)).toBeLessThanOrEqual(1e-6);
    expect(layer.places.map(({device, rows}) => [device, rows])).toEqual([
      ['cpu', [[0, 3]]],
      ['wasm', [[3, 5]]],
      ['cpu', [[5, 7]]],
    ]);
    tf.dispose([dict, x, one, each, alone]);
    layer.dispose();
  });

  it('follows shares', () => {
    const layer = new ColumnParallelLinear({inDim: 3, outDim: 8, devices: ['cpu', 'wasm'], shares: [3, 1]});
    expect(layer.places.map(({rows}) => rows)).toEqual([[[0, 6]], [[6, 8]]]);
    layer.dispose();
  });

  it('refuses no devices', () => {
    expect(() => new ColumnParallelLinear({inDim: 3, outDim: 7, devices: []})).toThrowMatching(
      (e) => e instanceof ArgumentError && /non-empty/.test(e.message),
    );
  });

  it('uses a tied weight where it lies: stored once', async () => {
    const c = caseNamed(ON_CPU);
    const {layer} = await openLinear(c, (await filesOf(c)).files);
    const weight = layer.weight as QuantizedWeight;
    const x = tf.tensor2d(randomX(2, c.inDim), [2, c.inDim]);
    const expected = layer.forward(x);
    const before = memory();
    for (const tiedWeight of [layer, weight]) {
      const head = new ColumnParallelLinear({inDim: c.inDim, outDim: c.outDim, devices: ['cpu', 'cpu', 'cpu'], tiedWeight, hasBias: true});
      head.loadStateDict({bias: layer.bias as tf.Tensor});
      expect(memory().codesBytes).toBe(before.codesBytes);
      expect(head.byteLength).toBe(4 * c.outDim);
      const y = head.forward(x);
      expect(rowErrors(y.dataSync(), expected.dataSync(), c.outDim)).toBeLessThanOrEqual(1e-6);
      const rows = [0, c.outDim - 1, 40];
      tf.tidy(() => expect(head.weight.dequantizeRows(rows).dataSync()).toEqual(weight.dequantizeRows(rows).dataSync()));
      y.dispose();
      head.dispose();
      expect(weight.isDisposed).toBe(false);
    }
    expect(memory().numTensors).toBe(before.numTensors);
    tf.dispose([x, expected]);
    layer.dispose();
  });

  it('shares the shards of another spread layer, and copies the rows of a device that has not got them', async () => {
    const c = caseNamed(ON_CPU);
    const {layer} = await openLinear(c, (await filesOf(c)).files);
    const x = tf.tensor2d(randomX(2, c.inDim), [2, c.inDim]);
    const embedding = new ColumnParallelLinear({
      inDim: c.inDim,
      outDim: c.outDim,
      devices: ['cpu', 'wasm'],
      layout: (layer.weight as QuantizedWeight).layout,
    });
    const words = layer.stateDict();
    embedding.loadStateDict({weight: words[`${layer.keyPrefix}weight`] as tf.Tensor});
    const before = memory().codesBytes;
    const shared = new ColumnParallelLinear({inDim: c.inDim, outDim: c.outDim, devices: ['cpu', 'wasm'], tiedWeight: embedding});
    expect(memory().codesBytes).toBe(before);
    const mixed = new ColumnParallelLinear({inDim: c.inDim, outDim: c.outDim, devices: ['cpu', 'wasm'], tiedWeight: layer});
    // The second half is on wasm too now; the first is read where it lies.
    expect(memory().codesBytes - before).toBe(embedding.places[1]?.byteLength as number);
    const expected = tf.tidy(() => tf.sub(layer.forward(x), layer.bias as tf.Tensor));
    for (const head of [embedding, shared, mixed]) {
      const y = head.forward(x);
      expect(rowErrors(y.dataSync(), expected.dataSync(), c.outDim)).toBeLessThanOrEqual(1e-4);
      y.dispose();
    }
    shared.dispose();
    mixed.dispose();
    expect(memory().codesBytes).toBe(before);
    embedding.dispose();
    tf.dispose([x, expected, words]);
    layer.dispose();
  });

  it('cut otherwise than the spread layer it is tied to, reads the rows it asks for', () => {
    const devices = ['cpu', 'cpu'];
    const embedding = new ColumnParallelLinear({inDim: 4, outDim: 12, devices});
    const x = tf.tensor2d(randomX(2, 4), [2, 4]);
    const expected = embedding.forward(x);
    const head = new ColumnParallelLinear({inDim: 4, outDim: 12, devices, shares: [3, 1], tiedWeight: embedding});
    expect(head.places.map((place) => place.rows)).toEqual([[[0, 9]], [[9, 12]]]);
    const y = head.forward(x);
    expect(rowErrors(y.dataSync(), expected.dataSync(), 12)).toBeLessThanOrEqual(1e-6);
    tf.dispose([x, y, expected]);
    for (const each of [head, embedding]) each.dispose();
  });

  it('follows a dense weight that trains', () => {
    const embedding = new Linear({inDim: 3, outDim: 5});
    const head = new ColumnParallelLinear({inDim: 3, outDim: 5, devices: ['cpu', 'cpu'], tiedWeight: embedding});
    const x = tf.tensor2d(randomX(2, 3), [2, 3]);
    const values = {weight: tf.tensor2d(randomX(5, 3, 8), [5, 3])};
    embedding.loadStateDict(values);
    const [y, expected] = [head.forward(x), embedding.forward(x)];
    expect(y.dataSync()).toEqual(expected.dataSync());
    expect(head.countParams()).toBe(0);
    const whole = head.weight.dequantize();
    expect(whole.dataSync()).toEqual(values.weight.dataSync());
    expect(head.stateDict()).toEqual({});
    expect(() => head.loadStateDict(values)).toThrowError(UnusedTensorError);
    expect(() => head.getConfig()).toThrowError(UnsupportedError);
    expect(() => new ColumnParallelLinear({inDim: 3, outDim: 6, devices: ['cpu'], tiedWeight: embedding})).toThrowError(ShapeError);
    tf.dispose([x, y, expected, values, whole]);
    head.dispose();
    embedding.dispose();
  });

  it('comes back from its config', () => {
    const layer = new ColumnParallelLinear({inDim: 3, outDim: 5, devices: ['cpu', 'wasm'], shares: [1, 4], hasBias: true});
    const back = ColumnParallelLinear.fromConfig(ColumnParallelLinear as never, layer.getConfig()) as unknown as ColumnParallelLinear;
    expect(back.places).toEqual(layer.places);
    layer.dispose();
    back.dispose();
  });
});
