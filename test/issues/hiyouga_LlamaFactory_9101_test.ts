// https://github.com/hiyouga/LlamaFactory/issues/9101: training an adapter on a GPTQ layer failed.
import * as tf from '@tensorflow/tfjs';
import {packedLayer, randomTensor, take} from '../layers/layers_support.js';

describe('hiyouga/LlamaFactory#9101', () => {
  it('A and B beside a packed layer learn in 20 steps, and its codes stay', async () => {
    const layer = await packedLayer('gptq_b4_g64_sym_act_v1_bias');
    const stateOf = () => tf.tidy(() => tf.clone(layer.stateDict().weight as tf.Tensor));
    const codes = await take(stateOf());
    const [a, b] = tf.tidy(() => [tf.variable(randomTensor([4, 256], 1)), tf.variable(tf.zeros([96, 4]))]) as [tf.Variable, tf.Variable];
    const [x, target] = [randomTensor([8, 256], 2), randomTensor([8, 96], 3)];
    const loss = () =>
      tf.tidy(() => {
        const adapter = tf.matMul(tf.matMul(x, a as tf.Tensor2D, false, true), b as tf.Tensor2D, false, true);
        return tf.losses.meanSquaredError(target, tf.add(layer.forward(x), adapter)) as tf.Scalar;
      });
    const optimizer = tf.train.adam(0.01);
    const first = (await take(loss()))[0] as number;
    for (let step = 0; step < 20; step++) optimizer.minimize(loss, false, [a, b]);
    expect((await take(loss()))[0]).toBeLessThan(0.8 * first);
    expect(await take(stateOf())).toEqual(codes);
    optimizer.dispose();
    tf.dispose([a, b, x, target]);
    layer.dispose();
  });
});
