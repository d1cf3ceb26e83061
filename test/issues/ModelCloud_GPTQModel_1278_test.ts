/** ModelCloud/GPTQModel#1278 (P044): a packing error made fewer bits far worse than they are. Here 4, 8 and 16 bits. */
import * as tf from '@tensorflow/tfjs';
import {quantizeModel} from '../../src/index.js';

describe('ModelCloud/GPTQModel#1278', () => {
  it('the error of a smooth weight falls steadily with bits', async () => {
    const model = tf.sequential({layers: [tf.layers.dense({units: 16, inputShape: [96], useBias: false})]});
    const kernel = tf.tidy(() => tf.sin(tf.linspace(0, 60, 16 * 96)).reshape([96, 16]));
    model.setWeights([kernel]);
    const errors: number[] = [];
    for (const mode of ['int4', 'int8', 'float16'] as const) {
      const {model: small, report} = await quantizeModel(model, mode === 'float16' ? {mode} : {mode, groupSize: 32});
      errors.push(report.layers[0]?.relativeError as number);
      small.dispose();
    }
    const [four, eight, sixteen] = errors as [number, number, number];
    // A step of 1 / 7.5, spread evenly over +-half of it: 0.0385 (rms), of a wave whose rms is 0.707: 0.054; a sine lingers at its ends.
    expect(four).toBeLessThan(0.065);
    expect(four).toBeGreaterThan(0.03);
    expect(four / eight).toBeGreaterThan(14);
    expect(four / eight).toBeLessThan(20);
    expect(eight / sixteen).toBeGreaterThan(5);
    kernel.dispose();
    model.dispose();
  });
});
