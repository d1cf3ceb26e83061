/** Attention over past positions against float64, on every backend. */
import * as tf from '@tensorflow/tfjs';
import {ops, type Past, ShapeError} from '../../src/index.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {randomX} from './layouts.js';

type Rows = readonly (readonly number[])[];

/** [heads][positions][D] */
interface Values {
  readonly k: readonly Rows[];
  readonly v: readonly Rows[];
}

function random(heads: number, positions: number, dim: number, seed: number): Values {
  const rows = (salt: number) =>
    Array.from({length: heads}, (_, h) => Array.from({length: positions}, (_, t) => [...randomX(1, dim, seed + salt + 31 * h + 977 * t)]));
  return {k: rows(1), v: rows(2)};
}

function expected(q: readonly Rows[], parts: readonly Values[]): number[] {
  return q.flatMap((rows, h) => {
    const k = parts.flatMap((part) => part.k[h] as Rows);
    const v = parts.flatMap((part) => part.v[h] as Rows);
    return rows.flatMap((row) => {
      const scores = k.map((key) => key.reduce((sum, x, d) => sum + x * (row[d] as number), 0));
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const sum = weights.reduce((a, b) => a + b);
      return row.map((_, d) => v.reduce((a, value, t) => a + ((weights[t] as number) / sum) * (value[d] as number), 0));
    });
  });
}

describe('attendPast', () => {
  onEachBackend(() => {
    // heads, rows a head, D, positions of the body and of the tail
    for (const [heads, group, dim, count, recent] of [
      [1, 1, 1, 0, 1],
      [2, 3, 64, 37, 5],
      [3, 1, 20, 16, 0],
      [2, 2, 6, 1, 64],
    ] as const) {
      it(`of ${heads} x ${group} rows of ${dim} over ${count} + ${recent} positions`, async () => {
        const q = random(heads, group, dim, 5).k;
        const [body, tail] = [random(heads, count, dim, 6), random(heads, recent, dim, 7)];
        const numTensors = tf.memory().numTensors;
        const qs = tf.tensor3d(q as number[][][]);
        const matrix = (rows: Rows) => tf.tensor2d(rows as number[][]);
        const heads3 = (values: readonly Rows[]) => tf.tensor3d(values as number[][][]);
        const past: Past = {
          body: count === 0 ? null : body.k.map((k, h) => ({k: tf.tidy(() => tf.transpose(matrix(k))), v: matrix(body.v[h] as Rows)})),
          tail: recent === 0 ? null : {k: heads3(tail.k), v: heads3(tail.v)},
        };
        const y = ops.attendPast(qs, past);
        expect(y.shape).toEqual([heads, group, dim]);
        expect(rowErrors(await y.data(), expected(q, [body, tail]), dim)).toBeLessThanOrEqual(2e-6);
        tf.dispose([y, qs]);
        tf.dispose(past as unknown as tf.TensorContainer);
        expect(tf.memory().numTensors).toBe(numTensors);
      });
    }

    it('refuses what does not fit', () => {
      tf.tidy(() => {
        const q = tf.zeros([2, 1, 4]) as tf.Tensor3D;
        const tail = {k: tf.zeros([2, 3, 4]) as tf.Tensor3D, v: tf.zeros([2, 3, 5]) as tf.Tensor3D};
        expect(() => ops.attendPast(q, {body: null, tail})).toThrowError(ShapeError, /tail \[2,3,4\] and \[2,3,5\]/);
        expect(() => ops.attendPast(q, {body: null, tail: null})).toThrowError(ShapeError);
        const head = {k: tf.zeros([4, 3]) as tf.Tensor2D, v: tf.zeros([3, 4]) as tf.Tensor2D};
        expect(() => ops.attendPast(q, {body: [head], tail: null})).toThrowError(ShapeError);
      });
    });
  });
});
