// https://github.com/tensorflow/tfjs/issues/1146: loading a model again and again leaks.
import * as tf from '@tensorflow/tfjs';
import {memory, openCheckpoint} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {saveAndLoad} from '../layers/layers_support.js';
import {onEachBackend} from '../support/backends.js';
import {filesOf} from '../support/checkpoints.js';

/** Tensors, their bytes, packed bytes, and bytes on a GPU where the backend counts them. */
function held(): Record<string, number> {
  const {numTensors, numBytes, codesBytes} = memory();
  const {numBytesInGPU = 0} = tf.memory() as {numBytesInGPU?: number};
  return {numTensors, numBytes, codesBytes, numBytesInGPU};
}

describe('tensorflow/tfjs#1146', () => {
  onEachBackend(() => {
    it('a checkpoint opened and disposed 20 times leaves nothing', async () => {
      const c = caseNamed('gptq_b4_g64_sym_act_v1_bias');
      const {files} = await filesOf(c);
      const x = tf.ones([1, c.inDim]);
      const counts: Record<string, number>[] = [];
      for (let i = 0; i < 20; i++) {
        const checkpoint = await openCheckpoint(files);
        const layer = await checkpoint.linear(c.module);
        await checkpoint.close();
        const y = layer.forward(x);
        await y.data();
        y.dispose();
        layer.dispose();
        counts.push(held());
      }
      // A backend may keep what the first run made: programs, tables, textures to use again.
      for (const count of counts.slice(1)) expect(count).toEqual(counts[1] as Record<string, number>);
      x.dispose();
    });

    it('a model with packed layers loaded by tf.loadLayersModel 20 times leaves nothing', async () => {
      const c = caseNamed('gptq_b4_g128_sym_v1_bias');
      const checkpoint = await openCheckpoint((await filesOf(c)).files);
      const layers = [await checkpoint.linear(c.module), tf.layers.dense({units: 256}), await checkpoint.linear(c.module)];
      await checkpoint.close();
      const model = tf.sequential({layers});
      const before = held();
      for (let i = 0; i < 20; i++) {
        (await saveAndLoad(model)).dispose();
        expect(held().numTensors).toBe(before.numTensors as number);
        expect(held().codesBytes).toBe(before.codesBytes as number);
      }
      model.dispose();
    });
  });
});
