// https://github.com/huggingface/optimum/issues/1827: missing bias tensors became randomly initialised biases.
import * as tf from '@tensorflow/tfjs';
import {Linear, MissingError, openCheckpoint} from '../../src/index.js';
import {checkpointFiles, inputs, product} from '../formats/checkpoint_build.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {rowErrors} from '../support/errors.js';

describe('huggingface/optimum#1827', () => {
  it('a checkpoint without a bias gives a layer without one', async () => {
    const parts = randomParts({outDim: 16, inDim: 64, bits: 4, groupSize: 32}, 1827);
    const module = moduleOf(gptqTensors(parts, 'gptq'), gptqConfig(4, 32, false));
    const ckpt = await openCheckpoint(checkpointFiles(module));
    const layer = await ckpt.linear(module.module);
    expect(layer.hasBias).toBeFalse();
    const x = inputs(2, 64);
    const y = tf.tidy(() => layer.forward(tf.tensor2d(x, [2, 64])).clone());
    expect(rowErrors(await y.data(), product(x, affineWeight(parts), 64), 16)).toBeLessThan(1e-6);
    y.dispose();
    layer.dispose();
    await ckpt.close();
  });

  it('a layer with a bias refuses a state without one, and stays as it was', async () => {
    const layer = new Linear({inDim: 2, outDim: 2, hasBias: true});
    const weight = tf.ones([2, 2]);
    const before = layer.stateDict();
    expect(() => layer.loadStateDict({weight})).toThrowError(MissingError, /'bias'/);
    const after = layer.stateDict();
    expect([...(await after.weight!.data())]).toEqual([...(await before.weight!.data())]);
    expect([...(await after.bias!.data())]).toEqual([0, 0]);
    tf.dispose([before, after, weight]);
    layer.dispose();
  });
});
