/** https://github.com/vllm-project/vllm/issues/440: a vocabulary of 250682 over 8 devices, which does not divide by 8. */
import * as tf from '@tensorflow/tfjs';
import {ColumnParallelLinear} from '../../src/index.js';
import {randomX} from '../grid/layouts.js';

describe('vllm-project/vllm#440', () => {
  it('keeps all 250682 outputs over 8 devices', async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
    const [outDim, inDim] = [250682, 4];
    const head = new ColumnParallelLinear({inDim, outDim, devices: Array.from({length: 8}, (_, i) => (i % 2 === 0 ? 'cpu' : 'wasm'))});
    const weight = tf.tensor2d(randomX(outDim, inDim), [outDim, inDim]);
    head.loadStateDict({weight});
    const sizes = head.places.map(({rows: [range]}) => (range as readonly [number, number])[1] - (range as readonly [number, number])[0]);
    // 250682 = 8 * 31335 + 2.
    expect(sizes).toEqual([31336, 31336, 31335, 31335, 31335, 31335, 31335, 31335]);
    const x = tf.tensor2d([[1, 2, 3, 4]]);
    const y = head.forward(x);
    expect(y.shape).toEqual([1, outDim]);
    const values = y.dataSync();
    const stored = weight.dataSync();
    // Both ends of every shard.
    for (const place of head.places) {
      const [begin, end] = place.rows[0] as readonly [number, number];
      for (const n of [begin, end - 1]) {
        const expected = [1, 2, 3, 4].reduce((sum, v, k) => sum + v * (stored[n * inDim + k] as number), 0);
        expect(values[n]).toBeCloseTo(expected, 4);
      }
    }
    tf.dispose([weight, x, y]);
    head.dispose();
  });
});
