/** https://github.com/vllm-project/vllm/issues/7374: act-order with two shards gave nonsense. */
import * as tf from '@tensorflow/tfjs';
import {ShardedLinear, ShardingStrategy} from '../../src/index.js';
import {CASES} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';

describe('vllm-project/vllm#7374', () => {
  beforeAll(async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
  });

  for (const c of CASES.filter(({name}) => /_act_|actorder/.test(name))) {
    it(`${c.name}, split by inputs over two devices, equals the whole`, async () => {
      const reference = await filesOf(c);
      const {layer} = await openLinear(c, reference.files);
      const x = tf.tensor2d(reference.x, [reference.x.length / c.inDim, c.inDim]);
      for (const devices of [
        ['cpu', 'cpu'],
        ['cpu', 'wasm'],
      ]) {
        const spread = ShardedLinear.of(layer, {devices, strategy: ShardingStrategy.columnwise(2)});
        const y = spread.forward(x);
        expect(rowErrors(y.dataSync(), reference.y, c.outDim)).toBeLessThanOrEqual(devices[1] === 'wasm' ? 1e-4 : 1e-6);
        y.dispose();
        spread.dispose();
      }
      x.dispose();
      layer.dispose();
    });
  }
});
