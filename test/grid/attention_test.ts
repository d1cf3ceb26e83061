/** Attention of new positions over the past against float64, on every backend. */
import * as tf from '@tensorflow/tfjs';
import {attendComposed} from '../../kernels/attention_composed.js';
import {ArgumentError, ops, PastPositions, type Rotation, ShapeError} from '../../src/index.js';
import {BACKENDS_AND_WEBGPU, onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {randomX} from './layouts.js';

interface Shape {
  readonly heads: number;
  readonly keyHeads: number;
  readonly dim: number;
}

const angle = (position: number, i: number): number => (position + 1) / (1 + 3 * i);
/** Scales q and k, so that a few positions do not take all the weight. */
const factor = (dim: number): number => dim ** -0.25;

function rotationAt(start: number, count: number, dim: number): Extract<Rotation, {cos: tf.Tensor2D}> {
  const half = dim / 2;
  const table = (f: (x: number) => number) =>
    tf.tensor2d(
      Float32Array.from({length: count * half}, (_, at) => f(angle(start + Math.floor(at / half), at % half)) * factor(dim)),
      [count, half],
    );
  return {cos: table(Math.cos), sin: table(Math.sin)};
}

/** The same for one position as a matrix. */
function matrixAt(start: number, dim: number): Rotation {
  const half = dim / 2;
  const value = (row: number, column: number): number => {
    if (row % half !== column % half) return 0;
    const a = angle(start, row % half);
    return factor(dim) * (row === column ? Math.cos(a) : row < half ? Math.sin(a) : -Math.sin(a));
  };
  return {
    matrix: tf.tensor3d(
      Float32Array.from({length: dim * dim}, (_, at) => value(Math.floor(at / dim), at % dim)),
      [1, dim, dim],
    ),
  };
}

/** All positions in plain loops: x [T][(H + 2 KH) D] -> [T][H D]. */
function expected(x: readonly number[][], {heads, keyHeads, dim}: Shape): number[][] {
  const half = dim / 2;
  const head = (t: number, h: number): number[] => (x[t] as number[]).slice(h * dim, (h + 1) * dim);
  const turned = (t: number, h: number): number[] => {
    const values = head(t, h);
    return values.map((value, i) => {
      const a = angle(t, i % half);
      const other = i < half ? -(values[i + half] as number) : (values[i - half] as number);
      return (value * Math.cos(a) + other * Math.sin(a)) * factor(dim);
    });
  };
  return x.map((_, m) =>
    Array.from({length: heads}, (_, h) => {
      const group = Math.floor(h / (heads / keyHeads));
      const q = turned(m, h);
      const scores = Array.from({length: m + 1}, (_, t) => turned(t, heads + group).reduce((sum, k, d) => sum + k * (q[d] as number), 0));
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const sum = weights.reduce((a, b) => a + b);
      return Array.from({length: dim}, (_, d) =>
        weights.reduce((a, w, t) => a + (w / sum) * (head(t, heads + keyHeads + group)[d] as number), 0),
      );
    }).flat(),
  );
}

function randomRows({heads, keyHeads, dim}: Shape, count: number): number[][] {
  const width = (heads + 2 * keyHeads) * dim;
  const values = randomX(count, width, 3);
  return Array.from({length: count}, (_, t) => Array.from(values.subarray(t * width, (t + 1) * width), (value) => 2 * value));
}

describe('attend', () => {
  onEachBackend(() => {
    // heads, heads of k, D, positions a call
    for (const [heads, keyHeads, dim, calls] of [
      [1, 1, 2, [1, 1, 1]],
      [6, 2, 64, [37, 1, 1, 5]],
      [9, 3, 20, [1, 2, 3]],
      [4, 2, 6, [63, 1, 1, 70, 1]],
      [5, 5, 36, [4]],
    ] as const) {
      const shape = {heads, keyHeads, dim};
      it(`${heads} over ${keyHeads} heads of ${dim}, positions ${calls.join(' + ')}`, async () => {
        const total = calls.reduce<number>((a, b) => a + b, 0);
        const rows = randomRows(shape, total);
        const numTensors = tf.memory().numTensors;
        const past = new PastPositions({keyHeads, headDim: dim});
        const values: number[] = [];
        for (const count of calls) {
          const start = past.length;
          const rotation = rotationAt(start, count, dim);
          const qkv = tf.tensor2d(rows.slice(start, start + count));
          const y = ops.attend(qkv, past, rotation);
          expect(y.shape).toEqual([count, heads * dim]);
          values.push(...(await y.data()));
          tf.dispose([y, qkv, rotation.cos, rotation.sin]);
        }
        expect(past.length).toBe(total);
        expect(rowErrors(Float32Array.from(values), expected(rows, shape).flat(), heads * dim)).toBeLessThanOrEqual(2e-6);
        past.dispose();
        expect(tf.memory().numTensors).toBe(numTensors);
      });
    }

    it('takes the turn of one position as a matrix, composed and not by turns', async () => {
      const shape = {heads: 4, keyHeads: 2, dim: 6};
      const rows = randomRows(shape, 6);
      const past = new PastPositions({keyHeads: 2, headDim: 6});
      const values: number[] = [];
      for (const [t, row] of rows.entries()) {
        const rotation = t % 3 === 0 ? rotationAt(t, 1, 6) : matrixAt(t, 6);
        const qkv = tf.tensor2d([row]);
        const y = ops.attend(qkv, past, rotation);
        values.push(...(await y.data()));
        tf.dispose([y, qkv, ...Object.values(rotation)]);
      }
      expect(rowErrors(Float32Array.from(values), expected(rows, shape).flat(), 24)).toBeLessThanOrEqual(2e-6);
      past.dispose();
    });

    it('multiplies as many heads at once as there is room for', async () => {
      const shape = {heads: 6, keyHeads: 3, dim: 4};
      const rows = randomRows(shape, 5);
      for (const most of [1, 2 * 2 * 5 * 5]) {
        const past = new PastPositions({keyHeads: 3, headDim: 4});
        const y = tf.tidy(() => attendComposed(tf.tensor2d(rows), past, rotationAt(0, 5, 4), most));
        expect(rowErrors(await y.data(), expected(rows, shape).flat(), 24)).toBeLessThanOrEqual(2e-6);
        y.dispose();
        past.dispose();
      }
    });

    it('takes integers for the numbers they are', async () => {
      const past = new PastPositions({keyHeads: 1, headDim: 2});
      const [qkv, cos, sin] = [
        tf.tensor2d([[1, 0, 1, 0, 3, 4]], [1, 6], 'int32'),
        tf.tensor2d([[1]], [1, 1], 'int32'),
        tf.tensor2d([[0]], [1, 1], 'int32'),
      ];
      const y = ops.attend(qkv, past, {cos, sin});
      expect(Array.from(await y.data())).toEqual([3, 4]);
      tf.dispose([qkv, cos, sin, y]);
      past.dispose();
    });

    it('gives gradients to qkv', async () => {
      const shape = {heads: 4, keyHeads: 2, dim: 4};
      const rows = randomRows(shape, 5);
      const past = new PastPositions({keyHeads: 2, headDim: 4});
      const loss = (values: number[][]) => {
        const out = expected([...rows.slice(0, 3), ...values], shape);
        return out
          .slice(3)
          .flat()
          .reduce((sum, y, i) => sum + y * Math.sin(i), 0);
      };
      const first = rotationAt(0, 3, 4);
      const last = rotationAt(3, 2, 4);
      const [before, x] = [tf.tensor2d(rows.slice(0, 3)), tf.tensor2d(rows.slice(3))];
      ops.attend(before, past, first).dispose();
      const weights = tf.tensor2d(
        Float32Array.from({length: 32}, (_, i) => Math.sin(i)),
        [2, 16],
      );
      const dx = tf.grad((t) => tf.sum(tf.mul(ops.attend(t as tf.Tensor2D, past, last), weights)))(x);
      expect(past.length).toBe(5);
      const step = 1e-4;
      const numeric = rows.slice(3).flatMap((row, m) =>
        row.map((_, i) => {
          const moved = (by: number) => rows.slice(3).map((r, n) => r.map((v, j) => (n === m && i === j ? v + by : v)));
          return (loss(moved(step)) - loss(moved(-step))) / (2 * step);
        }),
      );
      expect(rowErrors(await dx.data(), numeric, 32)).toBeLessThanOrEqual(1e-5);
      tf.dispose([dx, before, x, weights, first.cos, first.sin, last.cos, last.sin]);
      past.dispose();
    });

    it('refuses what does not fit', () => {
      const past = new PastPositions({keyHeads: 2, headDim: 4});
      const numTensors = tf.memory().numTensors;
      tf.tidy(() => {
        const rotation = rotationAt(0, 1, 4);
        const qkv = (width: number, count = 1) => tf.zeros([count, width]) as tf.Tensor2D;
        for (const width of [16, 22, 28])
          expect(() => ops.attend(qkv(width), past, rotation)).toThrowError(ShapeError, new RegExp(`\\[1,${width}\\]`));
        expect(() => ops.attend(qkv(24, 2), past, rotation)).toThrowError(ShapeError, /cos \[1,2\]/);
        expect(() => ops.attend(qkv(24, 2), past, matrixAt(0, 4))).toThrowError(ShapeError, /matrix \[1,4,4\]/);
        expect(() => ops.attend([[1]] as unknown as tf.Tensor2D, past, rotation)).toThrowError(ArgumentError, /attend: qkv/);
        expect(() => new PastPositions({keyHeads: 2, headDim: 5})).toThrowError(ArgumentError, /headDim 5/);
      });
      expect([past.length, tf.memory().numTensors]).toEqual([0, numTensors]);
    });
  }, BACKENDS_AND_WEBGPU);
});
