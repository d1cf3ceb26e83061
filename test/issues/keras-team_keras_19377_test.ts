/** keras-team/keras#19377 (P092): subclasses of the layers that quantisation knows. */
import * as tf from '@tensorflow/tfjs';
import {Linear, quantizeModel} from '../../src/index.js';

type DenseClass = new (config: Parameters<typeof tf.layers.dense>[0]) => tf.layers.Layer;
const Dense = tf.layers.dense({units: 1}).constructor as DenseClass;

class NegatedDense extends Dense {
  static className = 'NegatedDense';

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: object): tf.Tensor {
    return tf.tidy(() => tf.neg(super.call(inputs, kwargs as never) as tf.Tensor));
  }
}

class MyLinear extends Linear {
  static override className = 'MyLinear';

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => tf.add(super.call(inputs), 1));
  }
}

describe('keras-team/keras#19377', () => {
  it('subclasses are listed with the reason, and still compute what they did', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({units: 8, inputShape: [8], name: 'plain'}),
        new NegatedDense({units: 8, name: 'negated'}),
        new MyLinear({inDim: 8, outDim: 3, name: 'mine'}),
      ],
    });
    const {model: small, report} = await quantizeModel(model, {mode: 'bfloat16'});
    expect(report.layers.map((l) => l.path)).toEqual(['plain']);
    expect(report.skipped.map(({path, className, reason}) => [path, className, reason])).toEqual([
      ['negated', 'NegatedDense', 'a subclass of Dense, which may compute something else'],
      ['mine', 'MyLinear', 'a subclass of Linear, which may compute something else'],
    ]);
    expect(small.layers.map((l) => l.constructor)).toEqual([Linear, NegatedDense, MyLinear]);
    const x = tf.ones([2, 8]);
    const [y, packed] = [model.predict(x) as tf.Tensor, small.predict(x) as tf.Tensor];
    packed.dataSync().forEach((value, i) => {
      expect(value).toBeCloseTo(y.dataSync()[i] as number, 1);
    });
    tf.dispose([x, y, packed]);
    model.dispose();
    small.dispose();
  });
});
