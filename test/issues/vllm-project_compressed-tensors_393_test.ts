// https://github.com/vllm-project/compressed-tensors/issues/393: scales a token were reduced over the wrong axes.
import * as tf from '@tensorflow/tfjs';
import {ops} from '../../src/index.js';
import {ALL_BACKENDS, onBackends} from '../support/gpu_cases.js';

describe('vllm-project/compressed-tensors#393', () => {
  onBackends(ALL_BACKENDS, () => {
    it('x [2, 3, 8] has a scale a token, [2, 3, 1]', async () => {
      const rows = [448, 44.8, 4.48, 896, 0, 224];
      const x = tf.tensor(
        rows.flatMap((v) => [v, -v / 2, 0, 0, 0, 0, 0, 0]),
        [2, 3, 8],
      );
      const {codes, scales} = ops.fp8Quantize(x, {dtype: 'float8_e4m3fn', granularity: 'colwise', origin: 'dynamic'});
      expect(codes.shape).toEqual([2, 3, 8]);
      expect(scales.shape).toEqual([2, 3, 1]);
      const expected = rows.map((v) => Math.fround(Math.fround(v) / 448));
      expect([...(await scales.data())]).toEqual(expected);
      tf.dispose([x, codes, scales]);
    });
  });
});
