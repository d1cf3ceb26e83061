/** Fused activations, in float64 on one number: the reference for every backend. */

export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'relu' | 'tanh' | 'sigmoid';

export const ACTIVATIONS: readonly Activation[] = ['silu', 'gelu', 'gelu_tanh', 'relu', 'tanh', 'sigmoid'];

const TWO_OVER_SQRT_PI = 1.1283791670955126;
const SQRT_TWO_OVER_PI = 0.7978845608028654;

/**
 * The error function to 1e-15: the series 2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (2n+1)!!, whose terms are all positive,
 * and beyond |x| = 4.5 the asymptotic tail. Source: Abramowitz and Stegun 7.1.6, 7.1.23.
 */
export function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  const square = magnitude * magnitude;
  if (magnitude > 4.5) {
    const tail = 1 - 1 / (2 * square) + 3 / (4 * square * square);
    return Math.sign(x) * (1 - ((Math.exp(-square) / magnitude) * tail * TWO_OVER_SQRT_PI) / 2);
  }
  let term = magnitude;
  let sum = magnitude;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * square) / (2 * n + 1);
    sum += term;
  }
  return Math.sign(x) * TWO_OVER_SQRT_PI * Math.exp(-square) * sum;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** act(x). At -infinity silu, gelu and gelu_tanh give their limit 0. */
export function activate(activation: Activation | null, x: number): number {
  switch (activation) {
    case null:
      return x;
    case 'relu':
      return x > 0 || Number.isNaN(x) ? x : 0;
    case 'tanh':
      return Math.tanh(x);
    case 'sigmoid':
      return sigmoid(x);
    case 'silu':
      return x === -Infinity ? 0 : x * sigmoid(x);
    case 'gelu':
      return x === -Infinity ? 0 : 0.5 * x * (1 + erf(x / Math.SQRT2));
    case 'gelu_tanh':
      return x === -Infinity ? 0 : 0.5 * x * (1 + Math.tanh(SQRT_TWO_OVER_PI * (x + 0.044715 * x * x * x)));
  }
}
