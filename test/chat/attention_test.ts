import * as tf from '@tensorflow/tfjs';
import {attendTogether, causalMask} from '../../examples/chat/attention.js';
import {onEachBackend} from '../support/backends.js';

const [HEADS, GROUP, DIM, START, COUNT] = [3, 2, 4, 5, 3];
const TOTAL = START + COUNT;

const numbers = (length: number, seed: number): Float32Array => Float32Array.from({length}, (_, i) => Math.sin(i * 12.9898 + seed));

/** In plain loops: [HEADS, GROUP * COUNT, DIM]. */
function expected(q: Float32Array, k: Float32Array, v: Float32Array): number[] {
  const out: number[] = [];
  for (let row = 0; row < HEADS * GROUP * COUNT; row++) {
    const head = Math.floor(row / (GROUP * COUNT));
    const seen = START + (row % COUNT) + 1;
    const weights = Array.from({length: seen}, (_, t) => {
      let sum = 0;
      for (let d = 0; d < DIM; d++) sum += (q[row * DIM + d] as number) * (k[(head * TOTAL + t) * DIM + d] as number);
      return Math.exp(sum);
    });
    const whole = weights.reduce((a, b) => a + b, 0);
    for (let d = 0; d < DIM; d++) out.push(weights.reduce((a, w, t) => a + (w / whole) * (v[(head * TOTAL + t) * DIM + d] as number), 0));
  }
  return out;
}

describe('attention over several positions', () => {
  onEachBackend(() => {
    for (const [name, most] of Object.entries({
      'all heads together': undefined,
      'two heads together': 2 * GROUP * COUNT * TOTAL,
      'one by one': 1,
    })) {
      it(name, async () => {
        const [q, k, v] = [numbers(HEADS * GROUP * COUNT * DIM, 1), numbers(HEADS * TOTAL * DIM, 2), numbers(HEADS * TOTAL * DIM, 3)];
        const y = tf.tidy(() =>
          attendTogether(
            tf.tensor3d(q, [HEADS, GROUP * COUNT, DIM]),
            {k: tf.tensor3d(k, [HEADS, TOTAL, DIM]), v: tf.tensor3d(v, [HEADS, TOTAL, DIM])},
            causalMask(START, COUNT),
            most,
          ),
        );
        expect(y.shape).toEqual([HEADS, GROUP * COUNT, DIM]);
        const values = await y.data();
        y.dispose();
        expect(Math.max(...expected(q, k, v).map((e, i) => Math.abs(e - (values[i] as number))))).toBeLessThan(1e-6);
      });
    }
  });
});
