// https://github.com/AutoGPTQ/AutoGPTQ/issues/330: two kernels differ by about 1e-4 on the same weight.
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {BACKENDS} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {loadCase} from '../support/fixtures.js';

describe('AutoGPTQ/AutoGPTQ#330', () => {
  afterAll(() => tf.setBackend('cpu'));

  it('every backend and precision is within its bound of the tool, and of the others', async () => {
    const {module, ref} = await loadCase('gptq_b4_g64_sym_act_v1_bias');
    const bounds = {float32: 1e-6, auto: 1e-4} as const;
    const spread: string[] = [];
    for (const backend of BACKENDS) {
      await tf.setBackend(backend);
      for (const inputPrecision of ['float32', 'auto'] as const) {
        const ckpt = await openCheckpoint(checkpointFiles(module));
        const layer = await ckpt.linear(module.module, {inputPrecision});
        const y = tf.tidy(() => layer.forward(tf.tensor2d(ref.x!, [5, 256])).clone());
        const error = rowErrors(await y.data(), ref.y!, 96);
        spread.push(`${backend} ${inputPrecision} ${error.toExponential(1)}`);
        expect(error).withContext(`${backend} ${inputPrecision}`).toBeLessThanOrEqual(bounds[inputPrecision]);
        y.dispose();
        layer.dispose();
        await ckpt.close();
      }
    }
    console.log(`AutoGPTQ#330, error against the tool: ${spread.join(', ')}`);
  });
});
