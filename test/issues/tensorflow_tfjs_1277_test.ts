/** https://github.com/tensorflow/tfjs/issues/1277: several GPUs for one model. */
import * as tf from '@tensorflow/tfjs';
import {DeviceError, ShardingStrategy} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {withTwoGPUs} from '../support/two_gpus.js';

describe('tensorflow/tfjs#1277', () => {
  it('splits columns over webgpu:0 and webgpu:1, half the bytes on each, with the result of one', async () => {
    const c = caseNamed('gptq_b4_g32_asym_v1_bias');
    const reference = await filesOf(c);
    const {layer} = await openLinear(c, reference.files);
    await withTwoGPUs({}, async (manager) => {
      const x = tf.tensor2d(reference.x, [reference.x.length / c.inDim, c.inDim]);
      for (const strategy of [ShardingStrategy.columnwise(2), ShardingStrategy.rowwise(2)]) {
        const spread = await manager.spread(layer, {strategy});
        expect(spread.places.map(({device}) => device)).toEqual(['webgpu:0', 'webgpu:1']);
        for (const {byteLength} of spread.places) expect(byteLength / layer.byteLength).toBeCloseTo(0.5, 1);
        const y = await spread.forwardAsync(x);
        expect(rowErrors(await y.data(), reference.y, c.outDim)).toBeLessThanOrEqual(1e-6);
        // At once it cannot be: it says what to do instead.
        expect(() => spread.forward(x)).toThrowMatching((e) => e instanceof DeviceError && /forwardAsync/.test(e.message));
        y.dispose();
        spread.dispose();
      }
      x.dispose();
    });
    layer.dispose();
  });
});
