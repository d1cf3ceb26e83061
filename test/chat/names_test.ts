import * as tf from '@tensorflow/tfjs';
import type {LlamaConfig} from '../../examples/chat/config.js';
import {halfSplitRows} from '../../examples/chat/names.js';
import {RotaryEmbedding} from '../../examples/chat/rope.js';
import {turn} from '../../kernels/attention_composed.js';

const CONFIG: LlamaConfig = {
  hiddenDim: 12,
  layerCount: 1,
  headCount: 2,
  keyHeadCount: 1,
  headDim: 6,
  feedForwardLength: 4,
  contextLength: 64,
  activation: 'silu',
  normEpsilon: 1e-5,
  ropeTheta: 100,
  ropeScaling: {kind: 'none'},
  tiedEmbedding: true,
};

/** [1, heads, D] of one position through the decoder's rotary embedding. */
async function turned(config: LlamaConfig, x: readonly number[], position: number): Promise<number[]> {
  const rope = new RotaryEmbedding(config);
  const y = tf.tidy(() => turn(tf.tensor3d([...x], [1, x.length / config.headDim, config.headDim]), rope.at(position, 1)));
  const values = Array.from(await y.data(), (value) => value * config.headDim ** 0.25);
  y.dispose();
  return values;
}

describe('rows of q and k in GGUF files', () => {
  it('are put back in the order of the half-split form', () => {
    const {q, k, stacked} = halfSplitRows(CONFIG);
    expect(k).toEqual([0, 2, 4, 1, 3, 5]);
    expect(q).toEqual([0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    expect(stacked).toEqual([...q, 12, 14, 16, 13, 15, 17, 18, 19, 20, 21, 22, 23]);
  });

  it('then turn as neighbours do in the file', async () => {
    const file = [0.3, -1, 2, 0.7, -0.2, 1.5];
    const angles = [0, 1, 2].map((i) => 5 * CONFIG.ropeTheta ** ((-2 * i) / 6));
    const neighbours = file.map((value, row) => {
      const angle = angles[row >> 1] as number;
      const other = row % 2 === 0 ? -(file[row + 1] as number) : (file[row - 1] as number);
      return value * Math.cos(angle) + other * Math.sin(angle);
    });
    const rows = halfSplitRows(CONFIG).k;
    const y = await turned(
      {...CONFIG, headCount: 1},
      rows.map((row) => file[row] as number),
      5,
    );
    rows.forEach((row, i) => expect(y[i]).toBeCloseTo(neighbours[row] as number, 5));
  });
});

describe('rotary embedding', () => {
  it('turns several positions as it turns each', async () => {
    const rope = new RotaryEmbedding(CONFIG);
    const x = tf.randomNormal([3, 2, 6], 0, 1, 'float32', 5) as tf.Tensor3D;
    const all = tf.tidy(() => turn(x, rope.at(9, 3)));
    const apart = tf.tidy(() =>
      tf.concat(
        [0, 1, 2].map((i) => turn(tf.slice(x, [i, 0, 0], [1, 2, 6]), rope.at(9 + i, 1))),
        0,
      ),
    );
    const [a, b] = [await all.data(), await apart.data()];
    expect(a.length).toBe(36);
    a.forEach((value, i) => expect(value).toBeCloseTo(b[i] as number, 6));
    tf.dispose([x, all, apart]);
  });

  it('stretches all angles by a linear factor', async () => {
    const x = [1, 2, 3, 4, 5, 6];
    const stretched = await turned({...CONFIG, ropeScaling: {kind: 'linear', factor: 4}}, x, 8);
    const plain = await turned(CONFIG, x, 2);
    stretched.forEach((value, i) => expect(value).toBeCloseTo(plain[i] as number, 5));
  });

  it('stretches long waves and keeps short ones as Llama 3 does', async () => {
    // Waves of 6, 29 and 135 positions: with an original context of 64 the first turns 10 times, the second 2.2 and the last 0.5 times.
    const scaling = {kind: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64} as const;
    const y = await turned({...CONFIG, ropeScaling: scaling}, [1, 1, 1, 0, 0, 0], 3);
    const frequencies = [1, 100 ** (-1 / 3), 100 ** (-2 / 3)];
    const kept = ((64 * (frequencies[1] as number)) / (2 * Math.PI) - 1) / 3;
    const expected = [frequencies[0] as number, (frequencies[1] as number) * (kept + (1 - kept) / 8), (frequencies[2] as number) / 8];
    expect(kept).toBeGreaterThan(0.3);
    expect(kept).toBeLessThan(0.5);
    expected.forEach((frequency, i) => {
      expect(y[i]).toBeCloseTo(Math.cos(3 * frequency), 5);
      expect(y[i + 3]).toBeCloseTo(Math.sin(3 * frequency), 5);
    });
  });
});
