/** Attention on webgpu: heads of any width, every length of the past, few and many new positions, and devices with less. */
import * as tf from '@tensorflow/tfjs';
import {rewriteShaders} from '../../kernels/webgpu/record.js';
import {DeviceError, ops, PastPositions} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {describeWebGPU, withDevice, withProfile} from '../support/webgpu.js';
import {randomX} from './layouts.js';

const BOUND = 2e-6;

interface Shape {
  readonly heads: number;
  readonly keyHeads: number;
  readonly dim: number;
}

const angle = (t: number, i: number): number => (t + 1) / (1 + 3 * i);

/** One conversation: what is asked of ops.attend, and the answers in float64. */
class Conversation {
  private readonly past: PastPositions;
  /** Turned keys and values [T][KH * D]. */
  private readonly keys: Float64Array[] = [];
  private readonly values: Float32Array[] = [];

  constructor(
    private readonly shape: Shape,
    private readonly seed: number,
  ) {
    this.past = new PastPositions({keyHeads: shape.keyHeads, headDim: shape.dim});
  }

  get length(): number {
    return this.past.length;
  }

  /** The largest error of `count` more positions. */
  async error(count: number): Promise<number> {
    const {heads, keyHeads, dim} = this.shape;
    const [half, width, start] = [dim / 2, (heads + 2 * keyHeads) * dim, this.past.length];
    const x = randomX(count, width, this.seed + start).map((v) => 2 * v);
    const table = (f: (x: number) => number) =>
      tf.tensor2d(
        Float32Array.from({length: count * half}, (_, at) => f(angle(start + Math.floor(at / half), at % half)) * dim ** -0.25),
        [count, half],
      );
    const [qkv, cos, sin] = [tf.tensor2d(x, [count, width]), table(Math.cos), table(Math.sin)];
    const y = ops.attend(qkv, this.past, {cos, sin});
    const got = await y.data().finally(() => tf.dispose([qkv, cos, sin, y]));
    const rows = Array.from({length: count}, (_, m) => x.subarray(m * width, (m + 1) * width));
    rows.forEach((row, m) => {
      this.keys.push(this.turned(row, heads, keyHeads, start + m));
      this.values.push(row.slice((heads + keyHeads) * dim));
    });
    const expected = rows.flatMap((row, m) => this.mixed(this.turned(row, 0, heads, start + m), start + m + 1));
    return rowErrors(got, expected, heads * dim);
  }

  dispose(): void {
    this.past.dispose();
  }

  private turned(row: Float32Array, first: number, heads: number, t: number): Float64Array {
    const {dim} = this.shape;
    const half = dim / 2;
    return Float64Array.from({length: heads * dim}, (_, at) => {
      const i = at % dim;
      const base = first * dim + at - i;
      const a = angle(t, i % half);
      const other = i < half ? -(row[base + i + half] as number) : (row[base + i - half] as number);
      return ((row[base + i] as number) * Math.cos(a) + other * Math.sin(a)) * dim ** -0.25;
    });
  }

  private mixed(q: Float64Array, total: number): number[] {
    const {heads, keyHeads, dim} = this.shape;
    const y = new Array<number>(heads * dim).fill(0);
    for (let h = 0; h < heads; h++) {
      const from = Math.floor(h / (heads / keyHeads)) * dim;
      const scores = new Float64Array(total);
      for (let t = 0; t < total; t++) {
        const k = this.keys[t] as Float64Array;
        for (let d = 0; d < dim; d++) scores[t] = (scores[t] as number) + (q[h * dim + d] as number) * (k[from + d] as number);
      }
      const top = scores.reduce((a, b) => Math.max(a, b));
      const weights = scores.map((score) => Math.exp(score - top));
      const sum = weights.reduce((a, b) => a + b);
      for (let t = 0; t < total; t++) {
        const v = this.values[t] as Float32Array;
        for (let d = 0; d < dim; d++) {
          y[h * dim + d] = (y[h * dim + d] as number) + ((weights[t] as number) / sum) * (v[from + d] as number);
        }
      }
    }
    return y;
  }
}

async function expectRight(shape: Shape, calls: readonly number[]): Promise<void> {
  const numTensors = tf.memory().numTensors;
  const conversation = new Conversation(shape, shape.dim);
  for (const count of calls) {
    const start = conversation.length;
    expect(await conversation.error(count))
      .withContext(`${count} after ${start}`)
      .toBeLessThanOrEqual(BOUND);
  }
  conversation.dispose();
  expect(tf.memory().numTensors).toBe(numTensors);
}

describeWebGPU('attention', () => {
  // heads, heads of k, D, positions a call
  for (const [heads, keyHeads, dim, calls] of [
    [9, 3, 64, [1, 1, 61, 1, 1, 1, 434, 1]],
    [7, 1, 80, [63, 1, 8, 9]],
    [4, 4, 128, [17, 1, 2]],
    [3, 1, 30, [10, 1, 3, 11]],
    [5, 5, 2, [9, 1]],
    [2, 1, 258, [9, 1, 5]],
    [2, 1, 600, [1, 1, 12]],
    [6, 2, 8, [500, 500, 1, 22, 1, 1, 1, 7, 300, 8]],
  ] as const) {
    for (const software of [true, false]) {
      it(`is right for ${heads} over ${keyHeads} heads of ${dim}, positions ${calls.join(' + ')}, as on a ${software ? 'CPU' : 'GPU'}`, () =>
        withProfile({software}, () => expectRight({heads, keyHeads, dim}, calls)));
    }
  }

  it('keeps conversations apart, and frees one in the middle', async () => {
    const numTensors = tf.memory().numTensors;
    const shape = {heads: 6, keyHeads: 3, dim: 20};
    const [a, b, c] = [1, 2, 3].map((seed) => new Conversation(shape, seed)) as [Conversation, Conversation, Conversation];
    for (const [conversation, count] of [
      [a, 5],
      [b, 70],
      [c, 1],
      [a, 1],
      [c, 12],
      [b, 1],
    ] as const) {
      expect(await conversation.error(count)).toBeLessThanOrEqual(BOUND);
    }
    b.dispose();
    for (const conversation of [c, a, c]) expect(await conversation.error(1)).toBeLessThanOrEqual(BOUND);
    a.dispose();
    c.dispose();
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  it('takes smaller tiles and workgroups where a device has less', async () => {
    const shape = {heads: 4, keyHeads: 2, dim: 64};
    await withProfile({limits: {maxComputeWorkgroupStorageSize: 2048}}, () => expectRight(shape, [40]));
    await withProfile({limits: {maxComputeInvocationsPerWorkgroup: 16}}, () => expectRight(shape, [40]));
    await withProfile({limits: {maxComputeWorkgroupsPerDimension: 4}}, () => expectRight(shape, [40, 1, 3]));
  });

  it('refuses heads that do not fit a device, and changes nothing', async () => {
    const numTensors = tf.memory().numTensors;
    const past = new PastPositions({keyHeads: 1, headDim: 64});
    for (const [limits, count] of [
      [{maxComputeWorkgroupStorageSize: 256}, 1],
      [{maxComputeWorkgroupStorageSize: 256}, 20],
      [{maxComputeInvocationsPerWorkgroup: 8}, 1],
      [{maxStorageBufferBindingSize: 1024}, 1],
    ] as const) {
      const ask = () =>
        tf.tidy(() => {
          const still = {cos: tf.ones([count, 32]) as tf.Tensor2D, sin: tf.zeros([count, 32]) as tf.Tensor2D};
          ops.attend(tf.zeros([count, 192]), past, still);
        });
      await withProfile({limits}, async () => expect(ask).toThrowError(DeviceError, /workgroups of|maxStorageBufferBindingSize/));
    }
    expect(past.length).toBe(0);
    past.dispose();
    expect(tf.memory().numTensors).toBe(numTensors);
  });
});

describe('attention on a webgpu device that computes wrongly', () => {
  afterEach(() => rewriteShaders(null));

  // Shader, what its compiler makes of a text, and positions a call: the last call's answer is held back.
  for (const [label, text, wrong, calls] of [
    ['attend few', 'own / sum', 'own / (sum * 1.001)', [9, 1]],
    ['attend few', 'a * c - b * s', 'a * c + b * s', [9, 1]],
    ['attend few', 'values[held(t, head, i)] = v;', '', [9, 1]],
    ['attend many', 'own[i] / sum', 'own[i] / (sum + 0.01)', [1, 9]],
    ['attend many', 'keys[held(t, head, i)] = k;', 'keys[held(t, head, i)] = v;', [1, 9]],
    ['attend combine', 'all / sum', 'all / (sum * 1.001)', [1025, 1]],
    ['attend few', '.y = sum', '.y = sum * 1.001', [1025, 1]],
  ] as const) {
    it(`gives no result: ${label}, '${wrong}'`, () =>
      withDevice({}, async () => {
        const texts: string[] = [];
        rewriteShaders((shader) => {
          const code = shader.label.startsWith(label) ? shader.code.replace(text, wrong) : shader.code;
          if (code !== shader.code) texts.push(shader.label);
          return code;
        });
        const conversation = new Conversation({heads: 2, keyHeads: 1, dim: 8}, 4);
        const [first, last] = calls;
        expect(await conversation.error(first)).toBeLessThanOrEqual(BOUND);
        await expectAsync(conversation.error(last)).toBeRejectedWithError(DeviceError, /known-answer test of 'attend/);
        expect(texts.length).toBeGreaterThan(0);
        conversation.dispose();
      }));
  }
});
