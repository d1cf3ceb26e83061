/** Row indices and ranges of a weight, checked. */
import * as tf from '@tensorflow/tfjs';
import {checkOptions, checkTensor} from '../src/arguments.js';
import {ArgumentError} from '../src/errors.js';
import type {Range} from './slice.js';

/** The error for a row index outside a weight, at place `at` of the indices. */
export function rowOutside(at: number, rows: number): ArgumentError {
  return new ArgumentError({where: 'UnpackWeight: rows', expected: `row indices in [0, ${rows})`, received: `another at place ${at}`});
}

/** Throws ArgumentError unless they are a tensor of numbers, or integers in [0, rows). */
export function checkIndices(indices: tf.Tensor | readonly number[], rows: number): void {
  const where = 'dequantizeRows';
  if (indices instanceof tf.Tensor) {
    checkTensor(where, indices);
    return;
  }
  if (!Array.isArray(indices) && !ArrayBuffer.isView(indices)) {
    throw new ArgumentError({where, expected: 'row indices, an array or a tensor', received: indices});
  }
  const bad = indices.find((i) => !Number.isInteger(i) || i < 0 || i >= rows);
  if (bad !== undefined) throw new ArgumentError({where, expected: `row indices in [0, ${rows})`, received: bad});
}

/** A part of a weight [n, k] with what was left out filled in. Throws ArgumentError for a range outside it. */
export function checkRanges(part: {rows?: Range; columns?: Range}, [n, k]: readonly [number, number]): {rows: Range; columns: Range} {
  checkOptions('slice', part, ['rows', 'columns']);
  return {rows: checkRange('rows', part.rows ?? [0, n], n), columns: checkRange('columns', part.columns ?? [0, k], k)};
}

export function checkRange(axis: string, range: Range, size: number): Range {
  const [begin, end] = Array.isArray(range) && range.length === 2 ? range : [NaN, NaN];
  if (Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && begin <= end && end <= size) return range;
  throw new ArgumentError({
    where: `${axis} of a slice`,
    expected: `[begin, end] with 0 <= begin <= end <= ${size}`,
    received: `[${range}]`,
  });
}
