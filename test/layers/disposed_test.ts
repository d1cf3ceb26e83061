/** Whatever is asked of a layer or weight that was disposed is refused by name, not by tf.js's internals. */
import * as tf from '@tensorflow/tfjs';
import {ArgumentError, Linear, type LinearConfig, type QuantizedWeight, ShardedLinear, ShardingStrategy} from '../../src/index.js';

const KINDS: Readonly<Record<string, Partial<LinearConfig>>> = {
  float32: {},
  bfloat16: {dtype: 'bfloat16'},
  Q8_0: {quantizationEncoding: 'Q8_0'},
  float8: {float8Config: {inputScale: {granularity: 'tensor', origin: 'static'}, weightScale: {granularity: 'rowwise'}}},
};

function refusals(calls: Readonly<Record<string, () => unknown>>): void {
  const before = tf.memory().numTensors;
  for (const [name, call] of Object.entries(calls))
    expect(call)
      .withContext(name)
      .toThrowError(ArgumentError, /expected a .*(live|tensor).*disposed one/);
  expect(tf.memory().numTensors).toBe(before);
}

describe('a disposed layer', () => {
  for (const [kind, options] of Object.entries(KINDS)) {
    it(`${kind}: refuses every use`, () => {
      const layer = new Linear({inDim: 32, outDim: 3, hasBias: true, ...options});
      const {weight} = layer;
      layer.setSharding(ShardingStrategy.rowwise(2));
      const shards = layer.shard(['cpu', 'cpu']);
      const x = tf.ones([1, 32]);
      for (const each of [layer, ...shards]) each.dispose();
      refusals({
        forward: () => layer.forward(x),
        stateDict: () => layer.stateDict(),
        bias: () => layer.bias,
        shard: () => layer.shard(['cpu', 'cpu']),
        spread: () => ShardedLinear.of(layer, {devices: ['cpu']}),
        dequantize: () => weight.dequantize(),
        dequantizeRows: () => weight.dequantizeRows([0]),
        slice: () => (weight as QuantizedWeight).slice({rows: [0, 1]}),
        'forward of a shard': () => shards[0]?.forward(x),
        ...(kind === 'float8' ? {weightScale: () => layer.weightScale, inputScale: () => layer.inputScale} : {}),
      });
      x.dispose();
    });
  }
});
