/** DistributedMLP: MAX's own shards and sum, and whatever an MLP on one device gives. */
import * as tf from '@tensorflow/tfjs';
import type {FileTensor} from '../../src/formats/format.js';
import {
  ArgumentError,
  allReduceSum,
  DistributedMLP,
  distributedMLP,
  Linear,
  MLP,
  type MLPConfig,
  memory,
  openCheckpoint,
  type ShardedLinear,
  ShardingStrategy,
  UnsupportedError,
  UnusedTensorError,
} from '../../src/index.js';
import {randomX} from '../grid/layouts.js';
import {saveAndLoad} from '../layers/layers_support.js';
import {floatsOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {jsonBytes} from '../support/files.js';
import {readTensors} from '../support/fixtures.js';
import {checkpoints, PROJECTIONS} from './mlp_checkpoints.js';

beforeAll(async () => {
  await tf.setBackend('wasm');
  await tf.setBackend('cpu');
});

const MIXES = [
  ['cpu', 'wasm'],
  ['cpu', 'cpu', 'cpu'],
  ['wasm', 'cpu', 'wasm', 'cpu'],
];

/** State of an MLP [H, F] with seeded numbers. */
function state(hidden: number, inner: number, biases: boolean): Record<string, tf.Tensor> {
  const dict: Record<string, tf.Tensor> = {};
  PROJECTIONS.forEach((name, i) => {
    const [n, k] = name === 'down_proj' ? [hidden, inner] : [inner, hidden];
    dict[`${name}.weight`] = tf.tensor2d(randomX(n, k, 20 + i), [n, k]);
    if (biases) dict[`${name}.bias`] = tf.tensor1d(randomX(1, n, 30 + i));
  });
  return dict;
}

const numbers = (t: tf.Tensor) => Float32Array.from(t.dataSync());

describe('DistributedMLP', () => {
  it('has the shards, partial outputs and sum of MAX', async () => {
    const tensors = await readTensors('max/distributed_mlp_f32.safetensors');
    const get = (name: string) => tensors.get(name) as FileTensor;
    const layer = new DistributedMLP({hiddenDim: 8, feedForwardLength: 13, devices: ['cpu', 'wasm', 'cpu']});
    tf.tidy(() =>
      layer.loadStateDict(
        Object.fromEntries(
          PROJECTIONS.map((name) => [`${name}.weight`, tf.tensor(floatsOf(get(`${name}.weight`)), [...get(`${name}.weight`).shape])]),
        ),
      ),
    );
    for (const [projection, core] of layer.spreadProjections) {
      core.shards.forEach((shard, i) => {
        const weight = core.deviceAt(i).rows(shard, null) as tf.Tensor;
        expect(weight.shape).toEqual(get(`${i}.${projection}.weight`).shape as [number, number]);
        expect(numbers(weight)).toEqual(floatsOf(get(`${i}.${projection}.weight`)));
        weight.dispose();
      });
    }
    const x = tf.tensor2d(floatsOf(get('x')), [4, 8]);
    const y = layer.forward(x);
    expect(rowErrors(y.dataSync(), floatsOf(get('y')), 8)).toBeLessThanOrEqual(1e-6);
    // Each device's part alone, as MAX ran it.
    for (const i of [0, 1, 2]) {
      const part = new MLP({hiddenDim: 8, feedForwardLength: i === 0 ? 5 : 4});
      tf.tidy(() =>
        part.loadStateDict(
          Object.fromEntries(
            PROJECTIONS.map((name) => [
              `${name}.weight`,
              tf.tensor(floatsOf(get(`${i}.${name}.weight`)), [...get(`${i}.${name}.weight`).shape]),
            ]),
          ),
        ),
      );
      const p = part.forward(x);
      expect(rowErrors(p.dataSync(), floatsOf(get(`${i}.partial`)), 8)).toBeLessThanOrEqual(1e-6);
      p.dispose();
      part.dispose();
    }
    tf.dispose([x, y]);
    layer.dispose();
  });

  for (const activationFunction of ['silu', 'gelu_tanh'] as const) {
    for (const hasBias of [false, true]) {
      it(`is an MLP: ${activationFunction}${hasBias ? ', biases' : ''}, uneven and empty parts, any rank`, async () => {
        for (const inner of [13, 2]) {
          const dict = state(6, inner, hasBias);
          const config: MLPConfig = {hiddenDim: 6, feedForwardLength: inner, activationFunction, hasBias};
          const whole = new MLP(config);
          whole.loadStateDict(dict);
          const mixes = [...MIXES.map((devices) => ({devices})), {devices: ['cpu', 'wasm'], shares: [0, 1], unit: 1}];
          for (const over of mixes) {
            const spread = distributedMLP({...config, ...over});
            spread.loadStateDict(dict);
            for (const shape of [[6], [3, 6], [2, 2, 6], [0, 6]]) {
              const x = tf.tensor(randomX(shape.reduce((a, b) => a * b, 1) / 6, 6), shape);
              const [expected, y, awaited] = [whole.forward(x), spread.forward(x), await spread.forwardAsync(x)];
              const each = [...spread.forwardEach(x), ...(await spread.forwardEachAsync(over.devices.map(() => x)))];
              for (const result of [y, awaited, ...each]) {
                expect(result.shape).toEqual(expected.shape);
                expect(rowErrors(result.dataSync(), expected.dataSync(), 6))
                  .withContext(JSON.stringify(over))
                  .toBeLessThanOrEqual(2e-6);
              }
              tf.dispose([x, expected, y, awaited, each]);
            }
            const own = spread.stateDict();
            expect(Object.keys(own).sort()).toEqual(Object.keys(dict).sort());
            for (const [key, value] of Object.entries(own)) expect(numbers(value)).toEqual(numbers(dict[key] as tf.Tensor));
            tf.dispose(own);
            spread.dispose();
          }
          whole.dispose();
          tf.dispose(dict);
        }
      });
    }
  }

  for (const {name, file, quantization} of checkpoints()) {
    it(`a checkpoint's MLP over devices: ${name}`, async () => {
      const files = {'model.safetensors': file(), 'config.json': jsonBytes(quantization)};
      const checkpoint = await openCheckpoint(files);
      const whole = await checkpoint.mlp('mlp');
      const x = tf.tensor2d(randomX(3, 64), [3, 64]);
      const expected = whole.forward(x);
      const alone = memory().codesBytes;
      for (const devices of MIXES) {
        const spread = await checkpoint.mlp('mlp', {devices});
        expect(spread).toBeInstanceOf(DistributedMLP);
        expect(spread.gateUp === null).toBe(whole.gateUp === null);
        const y = spread.forward(x);
        expect(rowErrors(y.dataSync(), expected.dataSync(), 64))
          .withContext(`${devices}`)
          .toBeLessThanOrEqual(2e-4);
        // Each part is held once; a scale, zero or group on a cut is on both sides of it.
        expect(memory().codesBytes - alone).toBeLessThanOrEqual(1.1 * alone);
        const gate = spread.gateProj.weight.dequantize();
        const theirs = whole.gateProj.weight.dequantize();
        expect(numbers(gate)).toEqual(numbers(theirs));
        const [a, b] = [spread.stateDict(), whole.stateDict()];
        expect(Object.keys(a)).toEqual(Object.keys(b));
        tf.dispose([y, gate, theirs, a, b]);
        expect(spread.countParams()).toBe(whole.countParams());
        spread.dispose();
        expect(memory().codesBytes).toBe(alone);
      }
      const one = await checkpoint.mlp('mlp', {devices: ['wasm']});
      expect(one).not.toBeInstanceOf(DistributedMLP);
      one.dispose();
      tf.dispose([x, expected]);
      whole.dispose();
      await checkpoint.close();
    });
  }

  it('is made from an MLP, whose shards are MLPs too', async () => {
    const files = checkpoints();
    for (const {file, quantization} of [files[0], files[2]] as typeof files) {
      const checkpoint = await openCheckpoint({
        'model.safetensors': file(),
        'config.json': jsonBytes(quantization),
      });
      const mlp = await checkpoint.mlp('mlp', {inputQuantization: 'none', inputPrecision: 'float32'});
      const x = tf.tensor2d(randomX(3, 64), [3, 64]);
      const expected = tf.tidy(() => numbers(mlp.forward(x)));
      for (const spread of [
        DistributedMLP.of(mlp, {devices: ['cpu', 'wasm']}),
        await DistributedMLP.ofAsync(mlp, {devices: ['wasm', 'cpu', 'cpu'], shares: [1, 2, 2]}),
      ]) {
        const y = spread.forward(x);
        expect(rowErrors(y.dataSync(), expected, 64)).toBeLessThanOrEqual(2e-6);
        y.dispose();
        spread.dispose();
      }
      mlp.setSharding(ShardingStrategy.tensorParallel(3));
      const shards = mlp.shard(['cpu', 'wasm', 'cpu']);
      expect(shards.map((shard) => shard.feedForwardLength)).toEqual([54, 53, 53]);
      const sum = tf.tidy(
        () =>
          allReduceSum(
            shards.map((shard) => shard.forward(x)),
            ['cpu'],
          )[0] as tf.Tensor,
      );
      expect(rowErrors(sum.dataSync(), expected, 64)).toBeLessThanOrEqual(2e-6);
      expect(() => shards[0]?.setSharding(ShardingStrategy.replicate(2))).toThrowError(UnsupportedError);
      mlp.setSharding(ShardingStrategy.replicate(2));
      const copies = mlp.shard(['wasm', 'cpu']);
      for (const copy of copies) {
        const y = copy.forward(x);
        expect(rowErrors(y.dataSync(), expected, 64)).toBeLessThanOrEqual(2e-6);
        y.dispose();
      }
      expect(() => mlp.setSharding(ShardingStrategy.rowwise(2))).toThrowMatching(
        (e) => e instanceof UnsupportedError && /rowwise/.test(e.message),
      );
      expect(() => mlp.shard(['cpu'])).toThrowError(ArgumentError);
      tf.dispose([x, sum]);
      for (const l of [mlp, ...shards, ...copies]) l.dispose();
      await checkpoint.close();
    }
    const whole = new MLP({hiddenDim: 4, feedForwardLength: 5, hasBias: true});
    whole.setSharding(ShardingStrategy.tensorParallel(2));
    const parts = whole.shard(['cpu', 'cpu']);
    // The bias of down once.
    expect(parts.map((part) => [part.gateProj.hasBias, part.downProj.hasBias])).toEqual([
      [true, true],
      [true, false],
    ]);
    for (const l of [whole, ...parts]) l.dispose();
  });

  it('comes back from a file, in a larger model too', async () => {
    const spread = new DistributedMLP({
      hiddenDim: 6,
      feedForwardLength: 9,
      devices: ['cpu', 'wasm'],
      hasBias: true,
      shares: [1, 2],
      unit: 2,
    });
    const model = tf.sequential({layers: [spread, tf.layers.dense({units: 2})]});
    const loaded = await saveAndLoad(model);
    expect((loaded.layers[0] as DistributedMLP).places).toEqual(spread.places);
    const x = tf.tensor2d(randomX(2, 6), [2, 6]);
    const [a, b] = [model.predict(x) as tf.Tensor, loaded.predict(x) as tf.Tensor];
    expect(numbers(b)).toEqual(numbers(a));
    tf.dispose([x, a, b]);
    model.dispose();
    loaded.dispose();
  });

  it('trains as an MLP does', async () => {
    const dict = state(4, 7, true);
    const config = {hiddenDim: 4, feedForwardLength: 7, hasBias: true};
    const models = [new MLP(config), new DistributedMLP({...config, devices: ['cpu', 'wasm']})];
    const [x, y] = [tf.tensor2d(randomX(8, 4), [8, 4]), tf.tensor2d(randomX(8, 4, 3), [8, 4])];
    const losses: number[][] = [];
    for (const model of models) {
      model.loadStateDict(dict);
      model.compile({optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError'});
      losses.push((await model.fit(x, y, {epochs: 4, batchSize: 8, shuffle: false, verbose: 0})).history.loss as number[]);
      model.optimizer.dispose();
      model.dispose();
    }
    losses[0]?.forEach((loss, i) => expect(losses[1]?.[i]).toBeCloseTo(loss, 5));
    expect(losses[1]?.[3]).toBeLessThan(losses[1]?.[0] as number);
    tf.dispose([dict, x, y]);
  });

  it('is what an MLP over several devices computes', async () => {
    const config = {hiddenDim: 4, feedForwardLength: 7, hasBias: true};
    const whole = new MLP(config);
    const spread = new MLP({...config, devices: ['cpu', 'wasm', 'cpu']});
    const state = whole.stateDict();
    spread.loadStateDict(state);
    expect(spread.downProj.weight.shape).toEqual([4, 7]);
    expect((spread.downProj as ShardedLinear).places.map(({columns}) => columns)).toEqual([[[0, 3]], [[3, 5]], [[5, 7]]]);
    const x = tf.tensor2d(randomX(3, 4), [3, 4]);
    const y = whole.forward(x);
    const expected = y.dataSync();
    const again = MLP.fromConfig(MLP as never, spread.getConfig()) as unknown as MLP;
    again.loadStateDict(state);
    const results = [spread.forward(x), await spread.forwardAsync(x), spread.predict(x), again.forward(x)];
    for (const z of results) expect(rowErrors(z.dataSync(), expected, 4)).toBeLessThanOrEqual(1e-6);
    tf.dispose([state, x, y, results]);
    for (const l of [whole, spread, again]) l.dispose();
    class Mine extends Linear {}
    expect(() => new MLP({...config, devices: ['cpu', 'wasm'], linearCls: Mine})).toThrowError(UnsupportedError, /Mine/);
  });

  it('refuses what it cannot spread, and leaves nothing', () => {
    const config = {hiddenDim: 4, feedForwardLength: 7};
    class Mine extends Linear {}
    expect(() => new DistributedMLP({...config, devices: []})).toThrowError(ArgumentError);
    expect(() => new DistributedMLP({...config, devices: ['cpu'], linearCls: Mine})).toThrowError(UnsupportedError);
    expect(() => new DistributedMLP({...config, devices: ['cpu', 'cpu'], shares: [1]})).toThrowError(ArgumentError);
    const spread = new DistributedMLP({...config, devices: ['cpu', 'cpu']});
    const x = tf.ones([1, 4]);
    expect(() => spread.forwardEach([x])).toThrowError(ArgumentError);
    const own = spread.stateDict();
    expect(() => spread.loadStateDict({...own, extra: x})).toThrowError(UnusedTensorError);
    tf.dispose([x, own]);
    spread.dispose();
  });
});
