/** Activations, gated activation and normalisation by stock ops. */
import type {Activation} from '../../activation.js';
import type {Handle} from '../backend.js';
import type {Ops} from './ops.js';

/** act(h). At -infinity silu, gelu and gelu_tanh give their limit 0. */
export function activate(ops: Ops, activation: Activation, h: Handle): Handle {
  if (activation === 'relu') return ops.unary('Relu', h);
  if (activation === 'tanh') return ops.unary('Tanh', h);
  if (activation === 'sigmoid') return ops.unary('Sigmoid', h);
  const times = (a: Handle, b: Handle | number) => ops.binary('Mul', a, typeof b === 'number' ? ops.scalar(b) : b);
  const onePlus = (a: Handle) => ops.binary('AddV2', ops.scalar(1), a);
  // Far enough out that the other factor is 0, and times 0 is no NaN.
  const x = ops.select(ops.binary('Equal', h, ops.scalar(Number.NEGATIVE_INFINITY)), ops.scalar(-1e30), h);
  if (activation === 'silu') return times(x, ops.unary('Sigmoid', x));
  if (activation === 'gelu') return times(times(x, 0.5), onePlus(ops.unary('Erf', times(x, Math.SQRT1_2))));
  const inner = times(x, onePlus(times(times(x, x), 0.044715)));
  return times(times(x, 0.5), onePlus(ops.unary('Tanh', times(inner, 0.7978845608028654))));
}

/** x [M, 2 N] -> act(first half) * second half. */
export function gated(ops: Ops, x: Handle, activation: Activation): Handle {
  const [m, width] = x.shape as [number, number];
  const half = (begin: number) => ops.slice(x, [0, begin], [m, width / 2]);
  return ops.binary('Mul', activate(ops, activation, half(0)), half(width / 2));
}

/** x [M, K], weight [K] -> x / sqrt(mean(x^2) + epsilon) * weight. */
export function rmsNorm(ops: Ops, x: Handle, weight: Handle, epsilon: number): Handle {
  const mean = ops.mean(ops.binary('Mul', x, x), 1);
  const factor = ops.unary('Rsqrt', ops.binary('AddV2', mean, ops.scalar(epsilon)));
  return ops.binary('Mul', ops.binary('Mul', x, factor), weight);
}
