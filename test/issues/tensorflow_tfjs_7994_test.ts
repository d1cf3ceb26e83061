// https://github.com/tensorflow/tfjs/issues/7994: a model that was loaded in pieces could not be saved again.
import type * as tf from '@tensorflow/tfjs';
import {openCheckpoint} from '../../src/index.js';
import {checkpointFiles} from '../formats/checkpoint_build.js';
import {around, randomTensor, saveAndLoad, take} from '../layers/layers_support.js';
import {loadCase} from '../support/fixtures.js';

describe('tensorflow/tfjs#7994', () => {
  it('a layer whose bytes were read by ranges saves and loads with the same bits', async () => {
    const {module} = await loadCase('gptq_b4_g64_sym_act_v1_bias');
    const files = checkpointFiles(module);
    const checkpoint = await openCheckpoint(Object.entries(files).map(([name, bytes]) => new File([bytes as BlobPart], name)));
    const model = around(await checkpoint.linear(module.module), 256);
    await checkpoint.close();
    const loaded = await saveAndLoad(model);
    const x = randomTensor([2, 256]);
    const [before, after] = [await take(model.predict(x) as tf.Tensor), await take(loaded.predict(x) as tf.Tensor)];
    expect(after).toEqual(before);
    expect(before.some((v) => v !== 0)).toBeTrue();
    x.dispose();
    model.dispose();
    loaded.dispose();
  });
});
