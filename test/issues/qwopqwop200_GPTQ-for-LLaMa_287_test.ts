// https://github.com/qwopqwop200/GPTQ-for-LLaMa/issues/287: unexpected biases of zeros in the file.
import * as tf from '@tensorflow/tfjs';
import {Linear, openCheckpoint, UnusedTensorError} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {f16, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';

describe('qwopqwop200/GPTQ-for-LLaMa#287', () => {
  it('a layer without a bias refuses one, of zeros or not, unless asked not to be strict', () => {
    const layer = new Linear({inDim: 2, outDim: 2});
    const [weight, bias] = [tf.ones([2, 2]), tf.zeros([2])];
    expect(() => layer.loadStateDict({weight, bias})).toThrowError(UnusedTensorError, /bias.*strict: false/);
    layer.loadStateDict({weight, bias}, {strict: false});
    expect(layer.hasBias).toBeFalse();
    tf.dispose([weight, bias]);
    layer.dispose();
  });

  it("a checkpoint's layer has the bias that the file has", async () => {
    const parts = randomParts({outDim: 16, inDim: 64, bits: 4, groupSize: 32}, 287);
    const tensors = {...gptqTensors(parts, 'gptq'), bias: f16([16], Array(16).fill(0))};
    const module = moduleOf(tensors, gptqConfig(4, 32, false));
    const ckpt = await openCheckpoint(checkpointFiles(module));
    const layer = await ckpt.linear(module.module);
    expect(layer.hasBias).toBeTrue();
    layer.dispose();
    await ckpt.close();
  });
});
