/** Fused activations in WGSL, each within a few units in the last place of the value or of |x|. */
import type {Activation} from '../activation.js';

/**
 * Rational approximations, since WGSL's own tanh and exp-based forms lose small arguments.
 * Sources: the float32 coefficients of Eigen's generic tanh and of XLA's erf, both public.
 */
const TANH = `fn tanh_of(value: f32) -> f32 {
  let x = clamp(value, -7.90531110763549805, 7.90531110763549805);
  let s = x * x;
  var p = fma(s, -2.76076847742355e-16, 2.00018790482477e-13);
  p = fma(s, p, -8.60467152213735e-11);
  p = fma(s, p, 5.12229709037114e-08);
  p = fma(s, p, 1.48572235717979e-05);
  p = fma(s, p, 6.37261928875436e-04);
  p = fma(s, p, 4.89352455891786e-03);
  var q = fma(s, 1.19825839466702e-06, 1.18534705686654e-04);
  q = fma(s, q, 2.26843463243900e-03);
  q = fma(s, q, 4.89352518554385e-03);
  return select(select(x * p / q, value, abs(value) < 0.0004), sign(value), abs(value) > 7.905);
}
`;

const ERF = `fn erf_of(value: f32) -> f32 {
  let x = clamp(value, -3.832506856900711, 3.832506856900711);
  let s = x * x;
  var p = fma(s, 0.00022905065861350646, 0.0034082910107109506);
  p = fma(s, p, 0.050955695062380861);
  p = fma(s, p, 0.18520832239976145);
  p = fma(s, p, 1.128379143519084);
  var q = fma(s, -1.1791602954361697e-7, 0.000023547966471313185);
  q = fma(s, q, 0.0010179625278914885);
  q = fma(s, q, 0.014070470171167667);
  q = fma(s, q, 0.11098505178285362);
  q = fma(s, q, 0.49746925110067538);
  q = fma(s, q, 1.0);
  return select(x * p / q, sign(value), abs(value) > 3.8325);
}
`;

// Past their clamps both are +-1: a quotient that is off by a unit in the last place would leave x times that.

/** At 88 e^-x is still finite. */
const SIGMOID = `fn sigmoid_of(x: f32) -> f32 { return 1.0 / (1.0 + exp(-max(x, -88.0))); }
`;

/** Where x is so far left that the result is 0, x may be -infinity, and infinity times 0 is not. */
const vanishing = (x: string, text: string, end: string) => `select(${text}, 0.0, ${x} < ${end})`;

/** `fn activate(x: f32) -> f32`. */
export function activationFunction(activation: Activation | null): string {
  const body = (helpers: string, text: string) => `${helpers}fn activate(x: f32) -> f32 { return ${text}; }\n`;
  switch (activation) {
    case null:
      return body('', 'x');
    case 'relu':
      // NaN stays NaN: its magnitude's bits are above infinity's.
      return body('', 'select(0.0, x, x > 0.0 || (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u)');
    case 'tanh':
      return body(TANH, 'tanh_of(x)');
    case 'sigmoid':
      return body(SIGMOID, 'sigmoid_of(x)');
    case 'silu':
      return body(SIGMOID, vanishing('x', 'x * sigmoid_of(x)', '-100.0'));
    case 'gelu':
      return body(ERF, vanishing('x', '0.5 * x * (1.0 + erf_of(x * 0.7071067811865476))', '-100.0'));
    case 'gelu_tanh':
      return body(TANH, vanishing('x', '0.5 * x * (1.0 + tanh_of(0.7978845608028654 * (x + 0.044715 * x * x * x)))', '-100.0'));
  }
}
