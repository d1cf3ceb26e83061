// https://github.com/vllm-project/vllm/issues/46593: the group of activations was taken from the wrong element of the block's shape.
import * as tf from '@tensorflow/tfjs';
import {Float8InputScaleSpec, Linear, openCheckpoint} from '../../src/index.js';
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {f32, tensor} from '../formats/packed_build.js';
import {jsonBytes} from '../support/files.js';

describe('vllm-project/vllm#46593', () => {
  it('a block [64, 128] cuts x every 128 inputs', () => {
    const inputScale = new Float8InputScaleSpec({granularity: 'block', origin: 'dynamic', blockSize: [64, 128]});
    expect(inputScale.blockSize).toBe(128);
    const layer = new Linear({
      inDim: 256,
      outDim: 64,
      float8Config: {inputScale, weightScale: {granularity: 'block', blockSize: [64, 128]}},
    });
    expect(layer.inputQuantization?.block).toBe(128);
    tf.tidy(() => {
      const weight = tf.concat([tf.zeros([64, 64]), tf.ones([64, 192])], 1);
      layer.loadStateDict({weight, weight_scale: tf.ones([1, 2])});
      // Columns 64 to 127 share a scale with 448 and round to 0; from 128 on the scale is their own. Blocks of 64 would count all 192, one of 256 none.
      const x = tf.concat([tf.fill([1, 64], 448), tf.fill([1, 192], 2 ** -20)], 1);
      expect(layer.forward(x).dataSync()[0]).toBeCloseTo(2 ** -13, 8);
    });
    layer.dispose();
  });

  it('so does a checkpoint', async () => {
    const tensors = new Map([
      ['up.weight', tensor('F8_E4M3', [64, 256], new Uint8Array(64 * 256).fill(0x38))],
      ['up.weight_scale_inv', f32([1, 2], [1, 1])],
    ]);
    const quantization_config = {quant_method: 'fp8', activation_scheme: 'dynamic', fmt: 'e4m3', weight_block_size: [64, 128]};
    const checkpoint = await openCheckpoint({
      'model.safetensors': writeSafetensors([...tensors].map(([name, t]) => ({name, ...t}) as never)),
      'config.json': jsonBytes({quantization_config}),
    });
    const layer = await checkpoint.linear('up');
    expect(layer.inputQuantization?.granularity).toBe('block');
    expect(layer.inputQuantization?.block).toBe(128);
    layer.dispose();
    await checkpoint.close();
  });
});
