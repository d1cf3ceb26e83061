/** inputQuantization of a layer: a static scale that is a tensor is a weight, and every kind of weight sees the rounded x. */
import * as tf from '@tensorflow/tfjs';
import {DType, Linear, ops, ShardedLinear, ShardingStrategy} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {randomTensor, take} from './layers_support.js';

const SCHEME = {dtype: 'int8', origin: 'static', granularity: 'rowwise'} as const;

describe('inputQuantization of a layer', () => {
  onEachBackend(() => {
    for (const config of [{}, {clipWeight: 0.3}, {dtype: DType.float16}, {dtype: DType.float16, clipWeight: 0.3}]) {
      it(`rounds x before the product: ${JSON.stringify(config)}`, async () => {
        const scale = tf.linspace(0.05, 0.12, 8);
        const layer = new Linear({inDim: 8, outDim: 3, ...config, inputQuantization: {...SCHEME, scale}});
        const plain = new Linear({inDim: 8, outDim: 3, ...config});
        const weight = randomTensor([3, 8], 2);
        const x = randomTensor([2, 2, 8], 3);
        layer.loadStateDict({weight, input_scale: scale});
        plain.loadStateDict({weight});
        const rounded = tf.tidy(() => tf.mul(tf.round(tf.div(x, scale)), scale));
        const [is, expected] = [await take(layer.forward(x)), await take(plain.forward(rounded))];
        is.forEach((v, i) => expect(v).toBeCloseTo(expected[i] as number, 5));
        expect(is).not.toEqual(await take(plain.forward(x)));
        tf.dispose([scale, weight, x, rounded]);
        layer.dispose();
        plain.dispose();
      });
    }
  });

  it('keeps a copy of the scale under the state key input_scale', async () => {
    const scale = tf.linspace(0.1, 0.8, 8);
    const layer = new Linear({inDim: 8, outDim: 3, inputQuantization: {...SCHEME, scale}});
    scale.dispose();
    const state = layer.stateDict();
    expect(Object.keys(state)).toEqual(['weight', 'input_scale']);
    expect((await take(state.input_scale as tf.Tensor))[7]).toBeCloseTo(0.8, 6);
    expect(layer.getConfig().inputQuantization).toEqual({...SCHEME});
    expect(layer.getConfig().inputScaleShape).toEqual([8]);
    expect(() => layer.loadStateDict({weight: state.weight as tf.Tensor})).toThrowError(/a value for 'input_scale'/);
    tf.dispose(state.weight as tf.Tensor);
    layer.dispose();
  });

  it('is checked when the layer is made', () => {
    const scale = tf.ones([7]);
    const make = (inputQuantization: object) => () => new Linear({inDim: 8, outDim: 3, inputQuantization: inputQuantization as never});
    expect(make({...SCHEME, scale})).toThrowError(/static rowwise scale.*expected \[8\].*Received: \[7\]/s);
    expect(make({...SCHEME, granularity: 'column', scale: 1})).toThrowError(/granularity: expected tensor, rowwise, colwise or block/);
    expect(make({dtype: 'int8', origin: 'dynamic', granularity: 'tensor', scale: 1})).toThrowError(/scale with a static origin/);
    scale.dispose();
  });

  it("goes before a float8Config's own rounding of x, and 'none' turns that off", async () => {
    const float8Config = {inputScale: {granularity: 'tensor', origin: 'static'}, weightScale: {granularity: 'tensor'}} as const;
    const own = new Linear({inDim: 8, outDim: 3, float8Config});
    const none = new Linear({inDim: 8, outDim: 3, float8Config, inputQuantization: 'none'});
    const other = new Linear({inDim: 8, outDim: 3, float8Config, inputQuantization: {...SCHEME, scale: 0.5, granularity: 'tensor'}});
    expect(own.inputScale?.shape).toEqual([]);
    expect([none.inputQuantization, none.inputScale, other.inputScale]).toEqual([null, null, null]);
    expect(other.inputQuantization?.dtype).toBe('int8');
    const make = (layer: Linear) =>
      Linear.fromConfig(Linear as unknown as tf.serialization.SerializableConstructor<Linear>, layer.getConfig());
    const copies = [own, none, other].map(make);
    expect(copies.map((layer) => layer.inputQuantization?.dtype)).toEqual(['float8_e4m3fn', undefined, 'int8']);
    for (const layer of [own, none, other, ...copies]) layer.dispose();
  });

  it('is cut with the columns of a shard, and refused where blocks of them share a scale', async () => {
    const scale = tf.linspace(0.05, 0.12, 8);
    const layer = new Linear({inDim: 8, outDim: 4, inputQuantization: {...SCHEME, scale}});
    layer.setSharding(ShardingStrategy.columnwise(2));
    const shards = layer.shard(['cpu', 'cpu']);
    expect(await take(((shards[1] as Linear).inputScale as tf.Tensor).clone())).toEqual((await take(scale.clone())).slice(4));
    const spread = ShardedLinear.of(layer, {devices: ['cpu', 'cpu'], strategy: ShardingStrategy.columnwise(2)});
    const x = randomTensor([2, 8], 3);
    const whole = await take(layer.forward(x));
    const parts = tf.tidy(() => tf.addN(shards.map((shard, i) => shard.forward(tf.slice(x, [0, 4 * i], [2, 4])))));
    for (const y of [await take(parts), await take(spread.forward(x))]) y.forEach((v, i) => expect(v).toBeCloseTo(whole[i] as number, 5));
    const blocks = tf.ones([2, 2]);
    const blocked = new Linear({
      inDim: 8,
      outDim: 4,
      inputQuantization: {dtype: 'int8', origin: 'static', granularity: 'block', block: 4, scale: blocks},
    });
    blocked.setSharding(ShardingStrategy.columnwise(2));
    expect(() => blocked.shard(['cpu', 'cpu'])).toThrowError(/columns cut, and a static scale for each block.*ShardedLinear/s);
    tf.dispose([scale, x, blocks]);
    for (const l of [layer, spread, blocked, ...shards]) l.dispose();
  });

  it('a whole layer and its op agree to the bit', async () => {
    const layer = new Linear({
      inDim: 8,
      outDim: 3,
      dtype: DType.bfloat16,
      inputQuantization: {...SCHEME, scale: 0.1, granularity: 'tensor'},
    });
    const [weight, x] = [randomTensor([3, 8], 2), randomTensor([2, 8], 3)];
    layer.loadStateDict({weight});
    const y = ops.quantizedMatMul(x, layer.weight as never, {inputQuantization: {...SCHEME, scale: 0.1, granularity: 'tensor'}});
    expect(await take(layer.forward(x))).toEqual(await take(y));
    tf.dispose([weight, x]);
    layer.dispose();
  });
});
