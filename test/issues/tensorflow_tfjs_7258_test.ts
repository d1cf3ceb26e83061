// https://github.com/tensorflow/tfjs/issues/7258: wasm crashed with a wrong output size where the inner size is 1.
import {buildWeight, randomX} from '../grid/layouts.js';
import {ALL_BACKENDS, multiplyOnce, onBackends} from '../support/gpu_cases.js';

describe('tensorflow/tfjs#7258', () => {
  onBackends(ALL_BACKENDS, () => {
    for (const [n, k] of [
      [5, 1],
      [1, 5],
    ] as const) {
      it(`in = ${k}, out = ${n}`, async () => {
        const named = buildWeight('one', {n, k, planes: [8], zero: 128, scales: [['float32', 1, k]]}, 20);
        const {shape, error} = await multiplyOnce(named, randomX(3, k));
        expect(shape).toEqual([3, n]);
        expect(error).toBeLessThan(1e-6);
      });
    }
  });
});
