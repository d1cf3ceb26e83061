/** MLPV1: each spec is named after its row in the table of `npm run surface`. */
import * as tf from '@tensorflow/tfjs';
import {Linear, MLPV1, ShapeError} from '../../src/index.js';
import {randomX} from '../grid/layouts.js';
import {saveAndLoad} from '../layers/layers_support.js';
import {rowErrors} from '../support/errors.js';
import {numbersOf} from '../support/numbers.js';

const numbers = (t: tf.Tensor) => Array.from(numbersOf(t));

describe('surface: MLPV1', () => {
  const layers = () => ({
    gateProj: new Linear({inDim: 4, outDim: 6, hasBias: true}),
    upProj: new Linear({inDim: 4, outDim: 6}),
    downProj: new Linear({inDim: 6, outDim: 4, clipWeight: 0.1}),
  });

  it('MLPV1', async () => {
    const {gateProj, upProj, downProj} = layers();
    const mlp = new MLPV1({gateProj, upProj, downProj});
    const x = tf.tensor3d(randomX(6, 4), [2, 3, 4]);
    const expected = tf.tidy(() => {
      const gate = gateProj.forward(x);
      return downProj.forward(tf.mul(tf.mul(gate, tf.sigmoid(gate)), upProj.forward(x)));
    });
    const y = mlp.forward(x);
    expect(rowErrors(y.dataSync(), expected.dataSync(), 4)).toBeLessThanOrEqual(1e-6);
    const back = (await saveAndLoad(mlp)) as MLPV1;
    expect(back).toBeInstanceOf(MLPV1);
    expect(back.downProj.clipWeight).toBe(0.1);
    expect(numbers(back.forward(x))).toEqual(Array.from(y.dataSync()));
    tf.dispose([x, y, expected]);
    mlp.dispose();
    back.dispose();
  });
  for (const name of ['gateProj', 'downProj', 'upProj'] as const) {
    it(`MLPV1: ${name}`, () => {
      const given = layers();
      const mlp = new MLPV1(given);
      expect(mlp[name]).toBe(given[name]);
      mlp.dispose();
      expect(() => new MLPV1({...layersThatMisfit(), name: 'old'})).toThrowMatching(
        (e) => e instanceof ShapeError && /old/.test(e.message),
      );
      for (const l of misfits.splice(0)) l.dispose();
    });
  }
});

const misfits: Linear[] = [];

function layersThatMisfit() {
  const [gateProj, upProj, downProj] = [
    new Linear({inDim: 4, outDim: 6}),
    new Linear({inDim: 4, outDim: 5}),
    new Linear({inDim: 6, outDim: 4}),
  ];
  misfits.push(gateProj, upProj, downProj);
  return {gateProj, upProj, downProj};
}
