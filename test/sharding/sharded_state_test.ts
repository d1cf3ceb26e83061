/** The state of a spread layer, its files, training, rows read where they lie, refusals. */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  Linear,
  type QuantizedWeight,
  ShapeError,
  ShardedLinear,
  ShardingStrategy,
  UnsupportedError,
} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {randomX} from '../grid/layouts.js';
import {saveAndLoad} from '../layers/layers_support.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {plusZero, startHostBackends} from '../support/numbers.js';

beforeAll(startHostBackends);

describe('ShardedLinear: state', () => {
  it('puts its bias together once, and again when that has changed', async () => {
    for (const strategy of [ShardingStrategy.rowwise(2), ShardingStrategy.columnwise(2)]) {
      const layer = new ShardedLinear({inDim: 4, outDim: 3, hasBias: true, devices: ['cpu', 'wasm'], strategy});
      const first = layer.bias as tf.Tensor;
      const {numTensors} = tf.memory();
      for (let i = 0; i < 3; i++) expect(layer.bias).toBe(first as tf.Tensor1D);
      expect(tf.memory().numTensors).toBe(numTensors);
      const state = {weight: tf.zeros([3, 4]), bias: tf.tensor1d([1, 2, 3])};
      layer.loadStateDict(state);
      expect(Array.from(await (layer.bias as tf.Tensor).data())).toEqual([1, 2, 3]);
      expect(first.isDisposed).toBeTrue();
      tf.dispose(state);
      layer.dispose();
    }
  });

  it('has the state of the unsharded layer, both ways', async () => {
    for (const name of ['gptq_b4_g64_asym_act_v2', 'gguf_q4_k', 'dense_f32_bias']) {
      const c = caseNamed(name);
      const {layer} = await openLinear(c, (await filesOf(c)).files);
      for (const strategy of [ShardingStrategy.rowwise(2), ShardingStrategy.columnwise(2), ShardingStrategy.replicate(2)]) {
        const spread = ShardedLinear.of(layer, {devices: ['wasm', 'cpu'], strategy});
        const dict = spread.stateDict();
        const given = layer.stateDict();
        expect(Object.keys(dict)).toEqual(Object.keys(given));
        // The whole layer reads the spread one's state, and the other way round.
        layer.loadStateDict(dict);
        spread.loadStateDict(given);
        const [a, b] = [layer.weight.dequantize(), spread.weight.dequantize()];
        expect(plusZero(b)).withContext(`${name} ${strategy.kind}`).toEqual(plusZero(a));
        tf.dispose([dict, given, a, b]);
        spread.dispose();
      }
      layer.dispose();
    }
  });

  it('comes back from a file with the same bits on the same devices, in a larger model too', async () => {
    const c = caseNamed('gptq_b4_g64_asym_act_v2');
    const {layer} = await openLinear(c, (await filesOf(c)).files);
    for (const strategy of [ShardingStrategy.rowwise(3), ShardingStrategy.columnwise(3)]) {
      const spread = ShardedLinear.of(layer, {devices: ['cpu', 'wasm', 'cpu'], strategy});
      const model = tf.sequential({layers: [spread, tf.layers.dense({units: 2})]});
      const loaded = await saveAndLoad(model);
      const back = loaded.layers[0] as ShardedLinear;
      expect(back).toBeInstanceOf(ShardedLinear);
      expect(back.places).toEqual(spread.places);
      const x = tf.tensor2d(randomX(2, c.inDim), [2, c.inDim]);
      const [a, b] = [model.predict(x) as tf.Tensor, loaded.predict(x) as tf.Tensor];
      expect(b.dataSync()).toEqual(a.dataSync());
      expect(back.countParams()).toBe(layer.countParams());
      tf.dispose([a, b, x]);
      model.dispose();
      loaded.dispose();
    }
    layer.dispose();
  });

  it('trains: dense shards learn what one layer learns', async () => {
    const plain = new Linear({inDim: 4, outDim: 3, hasBias: true});
    for (const strategy of [ShardingStrategy.rowwise(2), ShardingStrategy.columnwise(2)]) {
      const spread = ShardedLinear.of(plain, {devices: ['cpu', 'wasm'], strategy});
      const alone = new Linear({inDim: 4, outDim: 3, hasBias: true});
      const start = plain.stateDict();
      alone.loadStateDict(start);
      const x = tf.tensor2d(randomX(8, 4), [8, 4]);
      const y = tf.tensor2d(randomX(8, 3, 9), [8, 3]);
      const losses: number[][] = [];
      const states: Record<string, tf.Tensor>[] = [];
      for (const model of [alone, spread]) {
        model.compile({optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError'});
        const history = await model.fit(x, y, {epochs: 5, batchSize: 8, shuffle: false, verbose: 0});
        losses.push(history.history.loss as number[]);
        states.push(model.stateDict());
      }
      losses[1]?.forEach((loss, i) => expect(loss).toBeCloseTo(losses[0]?.[i] as number, 5));
      expect(losses[1]?.[4]).toBeLessThan(losses[1]?.[0] as number);
      for (const key of ['weight', 'bias'])
        expect(rowErrors(states[1]?.[key]?.dataSync() ?? [], states[0]?.[key]?.dataSync() ?? [], 3)).toBeLessThanOrEqual(1e-5);
      tf.dispose([x, y, start, states]);
      for (const model of [alone, spread]) {
        model.optimizer.dispose();
        model.dispose();
      }
    }
    plain.dispose();
  });

  it('passes gradients to x through packed shards on other devices', async () => {
    const c = caseNamed('gptq_b4_g32_asym_v1_bias');
    const {layer} = await openLinear(c, (await filesOf(c)).files);
    for (const strategy of [ShardingStrategy.rowwise(2), ShardingStrategy.columnwise(2)]) {
      const spread = ShardedLinear.of(layer, {devices: ['wasm', 'cpu'], strategy});
      tf.tidy(() => {
        const x = tf.tensor2d(randomX(2, c.inDim), [2, c.inDim]);
        const dy = tf.tensor2d(randomX(2, c.outDim, 3), [2, c.outDim]);
        const [a, b] = [layer, spread].map((l) =>
          tf
            .grad((t: tf.Tensor) => l.forward(t))(x, dy)
            .dataSync(),
        );
        expect(rowErrors(b as Float32Array, a as Float32Array, c.inDim)).toBeLessThanOrEqual(1e-6);
      });
      spread.dispose();
    }
    layer.dispose();
  });

  it('reads chosen rows where they lie', async () => {
    const c = caseNamed('gguf_q4_k');
    const {layer} = await openLinear(c, (await filesOf(c)).files);
    for (const strategy of [
      ShardingStrategy.rowwise(3),
      ShardingStrategy.columnwise(3),
      ShardingStrategy.replicate(3),
      ShardingStrategy.gateUp(3),
    ]) {
      const spread = ShardedLinear.of(layer, {devices: ['wasm', 'cpu', 'wasm'], strategy});
      tf.tidy(() => {
        for (const indices of [
          [5, 0, 5, c.outDim - 1],
          tf.tensor2d(
            [
              [1, 2],
              [c.outDim - 1, 0],
            ],
            [2, 2],
            'int32',
          ),
          [],
        ]) {
          const [a, b] = [layer.weight.dequantizeRows(indices), spread.weight.dequantizeRows(indices)];
          expect(b.shape).toEqual(a.shape);
          expect(b.dataSync()).toEqual(a.dataSync());
        }
        expect(() => spread.weight.dequantizeRows([c.outDim])).toThrowError(ArgumentError);
      });
      const part = spread.weight.slice({rows: [1, 4], columns: [3, 40]});
      const own = (layer.weight as QuantizedWeight).slice({rows: [1, 4], columns: [3, 40]});
      tf.tidy(() => expect(part.dequantize().dataSync()).toEqual(own.dequantize().dataSync()));
      part.dispose();
      own.dispose();
      spread.dispose();
    }
    layer.dispose();
  });

  it('refuses what cannot be, and leaves nothing', () => {
    const config = {inDim: 4, outDim: 4};
    expect(() => new ShardedLinear({...config, devices: []})).toThrowMatching(
      (e) => e instanceof ArgumentError && /non-empty/.test(e.message),
    );
    expect(() => new ShardedLinear({...config, devices: ['cpu'], strategy: ShardingStrategy.rowwise(2)})).toThrowError(ArgumentError);
    expect(() => new ShardedLinear({...config, devices: ['cpu', 'cpu'], strategy: ShardingStrategy.stackedQkv(2, 1, 1)})).toThrowError(
      ShapeError,
    );
    const spread = new ShardedLinear({...config, devices: ['cpu', 'wasm']});
    const x = tf.ones([1, 4]);
    expect(() => spread.setSharding(ShardingStrategy.rowwise(2))).toThrowError(UnsupportedError);
    expect(() => ShardedLinear.of(spread, {devices: ['cpu']})).toThrowError(UnsupportedError);
    expect(() => spread.forwardEach([x])).toThrowError(ArgumentError);
    const plain = new Linear(config);
    expect(() => plain.shard(['cpu'])).toThrowMatching((e) => e instanceof ArgumentError && /setSharding/.test(e.message));
    plain.setSharding(ShardingStrategy.rowwise(2));
    expect(() => plain.shard(['cpu'])).toThrowError(ArgumentError);
    const shards = plain.shard(['cpu', 'wasm']);
    expect(() => shards[0]?.setSharding(ShardingStrategy.rowwise(2))).toThrowMatching(
      (e) => e instanceof UnsupportedError && /already sharded.*Shard the whole layer/.test(e.message),
    );
    for (const l of [...shards, plain, spread]) l.dispose();
    x.dispose();
  });
});
