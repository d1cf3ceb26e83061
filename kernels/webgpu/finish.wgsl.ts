/** What is done to a sum before it is stored, in every kernel that multiplies; and what only some can do: a norm before it, a gate after it. */
import type {Activation} from '../activation.js';
import {activationFunction} from './activation.wgsl.js';

export interface Finish {
  readonly bias?: boolean;
  readonly activation?: Activation | null;
  /** act(first half of y) * second half. A kernel gates where it has both halves' sums together; the activation is then the gate's. */
  readonly gate?: Activation | null;
  readonly residual?: boolean;
  /** x is normalised: weighed as it is read, and the sum scaled. */
  readonly norm?: boolean;
}

/** Names of the buffers that this takes, in order of binding. */
export const finishInputs = ({bias, norm, residual}: Finish) =>
  (['bias', 'norm', 'residual'] as const).filter((name) => ({bias, norm, residual})[name]);

/** `fn put(m: u32, n: u32, sum: f32)`, with a gate `put(m, n, sum, other)`: of the row in the second half. */
export function putFunction({bias, activation, gate, residual}: Finish): string {
  const plus = (column: string) => (bias ? ` + bias[${column}]` : '');
  const other = gate ? `(other${plus('column + params.window_rows')})` : '';
  return `${activationFunction(gate ?? activation ?? null)}
fn put(m: u32, n: u32, sum: f32${gate ? ', other: f32' : ''}) {
  let column = n - params.window_start;
  let at = m * params.window_rows + column;
  result[at] = ${residual ? 'residual[at] + ' : ''}activate(sum${plus('column')})${gate ? ` * ${other}` : ''};
}
`;
}

/** Uniforms that a norm takes. */
export const NORM_PARAMS = ['norm_columns', 'epsilon'];

/** The factor of a row's sums, from the sum of its squares. */
export const normScale = (squares: string) => `inverseSqrt(${squares} / f32(params.norm_columns) + bitcast<f32>(params.epsilon))`;
