/** An MLP whose projections lie elsewhere, and what an MLP over several devices shares with its halves. */
import * as tf from '@tensorflow/tfjs';
import {DistributedMLP, Linear, MLP, MLPV1, ShardedLinear, ShardingStrategy, UnsupportedError} from '../../src/index.js';
import {randomX} from '../grid/layouts.js';
import {rowErrors} from '../support/errors.js';
import {numbersOf, startHostBackends} from '../support/numbers.js';

beforeAll(startHostBackends);

const projections = () => ({
  gateProj: new Linear({inDim: 4, outDim: 6, hasBias: true}),
  upProj: new Linear({inDim: 4, outDim: 6}),
  downProj: new Linear({inDim: 6, outDim: 4}),
});

describe('MLPs of spread layers', () => {
  it('calls its layers as they are where only one of them is spread', () => {
    const x = tf.tensor2d(randomX(2, 4), [2, 4]);
    for (const strategy of [ShardingStrategy.rowwise(2), ShardingStrategy.columnwise(2)]) {
      const {gateProj, upProj, downProj} = projections();
      const spread = ShardedLinear.of(downProj, {devices: ['cpu', 'wasm'], strategy});
      const mlp = new MLPV1({gateProj, upProj, downProj: spread});
      const y = tf.tidy(() => downProj.forward(tf.mul(tf.mul(gateProj.forward(x), tf.sigmoid(gateProj.forward(x))), upProj.forward(x))));
      expect(rowErrors(numbersOf(mlp.forward(x)), numbersOf(y), 4)).toBeLessThanOrEqual(1e-6);
      mlp.dispose();
      downProj.dispose();
    }
    tf.dispose(x);
  });

  it('spreads an MLPV1, whose config has keys of its own', () => {
    const {gateProj, upProj, downProj} = projections();
    const mlp = new MLPV1({gateProj, upProj, downProj});
    const spread = DistributedMLP.of(mlp, {devices: ['cpu', 'wasm']});
    const x = tf.tensor2d(randomX(2, 4), [2, 4]);
    expect(rowErrors(numbersOf(spread.forward(x)), numbersOf(mlp.forward(x)), 4)).toBeLessThanOrEqual(1e-6);
    tf.dispose(x);
    spread.dispose();
    mlp.dispose();
  });

  it('refuses to cut an MLP over several devices again', () => {
    const mlp = new MLP({hiddenDim: 4, feedForwardLength: 6, devices: ['cpu', 'wasm']});
    expect(() => mlp.setSharding(ShardingStrategy.tensorParallel(2))).toThrowError(
      UnsupportedError,
      /spread already. Shard the whole layer/,
    );
    mlp.dispose();
  });

  it('spreads a half of one packed record: its own rows, not those of both', () => {
    const children = {gate_up: {inDim: 4, outDim: 12, dtype: 'float16' as const, hasBias: true}};
    const mlp = new MLP({hiddenDim: 4, feedForwardLength: 6, hasBias: true, children});
    const gateUp = mlp.gateUp as Linear;
    const state = {weight: tf.tensor2d(randomX(12, 4), [12, 4]), bias: tf.tensor1d(randomX(1, 12))};
    gateUp.loadStateDict(Object.fromEntries(Object.entries(state).map(([key, value]) => [`${gateUp.keyPrefix}${key}`, value])));
    const x = tf.tensor2d(randomX(2, 4, 3), [2, 4]);
    for (const half of [mlp.gateProj, mlp.upProj]) {
      for (const strategy of [ShardingStrategy.rowwise(2), ShardingStrategy.columnwise(2)]) {
        const spread = ShardedLinear.of(half, {devices: ['cpu', 'wasm'], strategy});
        expect(rowErrors(numbersOf(spread.forward(x)), numbersOf(half.forward(x)), 6)).toBeLessThanOrEqual(1e-6);
        spread.dispose();
      }
    }
    tf.dispose([x, state]);
    mlp.dispose();
  });

  it('gives the halves of one record its scale of x, also a new one', () => {
    const scale = tf.linspace(0.1, 0.4, 4);
    const inputQuantization = {dtype: 'int8', origin: 'static', granularity: 'rowwise', scale} as const;
    const children = {gate_up: {inDim: 4, outDim: 12, inputQuantization}};
    const mlp = new DistributedMLP({hiddenDim: 4, feedForwardLength: 6, devices: ['cpu', 'wasm'], children});
    const gateUp = mlp.gateUp as Linear;
    const state = {weight: tf.tensor2d(randomX(12, 4), [12, 4]), input_scale: tf.linspace(0.01, 0.04, 4)};
    const names = Object.entries(state).map(([key, value]) => [`${gateUp.keyPrefix}${key}`, value]);
    gateUp.loadStateDict(Object.fromEntries(names));
    const x = tf.tensor2d(randomX(2, 4), [2, 4]);
    const both = tf.tidy(() => tf.split(gateUp.forward(x), 2, 1));
    for (const [i, half] of [mlp.gateProj, mlp.upProj].entries()) {
      expect((half.inputScale as tf.Tensor).dataSync()).toEqual(state.input_scale.dataSync());
      expect(rowErrors(numbersOf(half.forward(x)), numbersOf(both[i] as tf.Tensor), 6)).toBeLessThanOrEqual(1e-6);
    }
    tf.dispose([scale, x, state]);
    mlp.dispose();
  });
});
