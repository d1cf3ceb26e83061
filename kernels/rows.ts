import {ArgumentError} from '../src/errors.js';

/** The error for a row index outside a weight, at place `at` of the indices. */
export function rowOutside(at: number, rows: number): ArgumentError {
  return new ArgumentError({where: 'UnpackWeight: rows', expected: `row indices in [0, ${rows})`, received: `another at place ${at}`});
}
