/** keras-team/keras#19541 (P091): quantising twice. */
import * as tf from '@tensorflow/tfjs';
import {quantizeModel} from '../../src/index.js';

describe('keras-team/keras#19541', () => {
  it('a second call reports every packed layer as skipped and changes no value', async () => {
    const model = tf.sequential({layers: [tf.layers.dense({units: 6, inputShape: [8], activation: 'elu'}), tf.layers.dense({units: 2})]});
    const {model: once} = await quantizeModel(model, {mode: 'int4', groupSize: 4});
    const {model: twice, report} = await quantizeModel(once, {mode: 'int8'});
    expect(report.layers).toEqual([]);
    expect(report.skipped.map(({path, reason}) => [path, reason])).toEqual(model.layers.map((l) => [l.name, 'already packed']));
    expect(report.bytesAfter).toBe(report.bytesBefore);
    expect(twice.getWeights().map((w) => w.dataSync())).toEqual(once.getWeights().map((w) => w.dataSync()));
    for (const m of [model, once, twice]) m.dispose();
  });
});
