// https://github.com/sgl-project/sglang/issues/3790: per-module overrides and a quantised lm_head were not honoured.
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint, type QuantizedWeight} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {affineWeight, gptqConfig, gptqTensors, moduleOf, randomParts} from '../formats/packed_build.js';
import {compareFloats} from '../formats/packed_support.js';

describe('sgl-project/sglang#3790', () => {
  it('8 bits for down_proj, 4 for the others and for lm_head', async () => {
    const config = gptqConfig(4, 32, false, 'gptq', {lm_head: true, dynamic: {'.*down_proj': {bits: 8, group_size: 64}}});
    const widths = {'model.layers.0.mlp.down_proj': [8, 64], 'model.layers.0.mlp.up_proj': [4, 32], lm_head: [4, 32]} as const;
    const layers = Object.entries(widths).map(([name, [bits, groupSize]]) => {
      const parts = randomParts({outDim: 32, inDim: 128, bits, groupSize}, bits);
      return {bits, parts, module: moduleOf(gptqTensors(parts, 'gptq'), config, name)};
    });
    const ckpt = await openCheckpoint(checkpointFiles(...layers.map((l) => l.module)));
    for (const {bits, parts, module} of layers) {
      const layer = await ckpt.linear(module.module);
      const weight = layer.weight as QuantizedWeight;
      expect(weight.layout.planes).withContext(module.module).toEqual([bits]);
      const values = weight.dequantize();
      expect(compareFloats((await values.data()) as Float32Array, affineWeight(parts)))
        .withContext(module.module)
        .toBe('equal');
      tf.dispose(values);
      layer.dispose();
    }
    await ckpt.close();
  });
});
