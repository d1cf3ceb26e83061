/**
 * Fused activations in GLSL, each within a few units in the last place of float32, also where the result is small: devices
 * promise neither an exact exp nor a tanh that keeps its relative accuracy near 0.
 */
import type {Activation} from '../../activation.js';

/** exp by 2^n e^r, |r| <= ln 2 / 2, with the series to r^7; ln 2 in two parts, so that r keeps its bits. */
const EXP = `float exp_exact(float x) {
  // Below, e^x is no normal float32; devices may have none but those.
  if (x < -87.0) return 0.0;
  float n = floor(min(x, 87.0) * 1.44269504 + 0.5);
  float r = (min(x, 87.0) - n * 0.693359375) + n * 2.12194440e-4;
  float p = 1.0 + r * (1.0 + r * (0.5 + r * (0.16666667 + r * (0.041666668 + r * (0.008333334 + r * (0.0013888889 + r * 1.9841270e-4))))));
  return p * uintBitsToFloat(uint(int(n) + 127) << 23);
}
float sigmoid(float x) {
  float e = exp_exact(-abs(x));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}
`;

/** tanh as an odd rational function up to where it is 1 in float32. Source of the coefficients: Eigen, generic_fast_tanh_float. */
const TANH = `float tanh_exact(float x) {
  float c = clamp(x, -9.0, 9.0), s = c * c;
  float p = c * (4.89352455891786e-03 + s * (6.37261928875436e-04 + s * (1.48572235717979e-05 + s * (5.12229709037114e-08
    + s * (-8.60467152213735e-11 + s * (2.00018790482477e-13 + s * -2.76076847742355e-16))))));
  float q = 4.89352518554385e-03 + s * (2.26843463243900e-03 + s * (1.18534705686654e-04 + s * 1.19825839466702e-06));
  return abs(x) < 0.0004 ? x : p / q;
}
`;

/** erfc(x / sqrt 2) for x >= 0, relative error below 2e-7. Source: Numerical Recipes, erfcc (Chebyshev fit). */
const TAIL = `float twice_tail(float x) {
  float t = 1.0 / (1.0 + 0.35355339 * x);
  float p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807
    + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  // e^(-x^2 / 2) by itself and of x, not of x / sqrt 2: its exponent magnifies every rounding.
  float h = float(int(x * 64.0)) / 64.0;
  return t * exp_exact(-0.5 * h * h) * exp_exact(0.5 * (h - x) * (h + x) + p);
}
`;

/** `float activate(float x)`. NaN stays NaN; at -infinity silu and the gelus give their limit 0. */
export function activationFunction(activation: Activation | null): string {
  const body = (expression: string) => `float activate(float x) { ${expression} }\n`;
  switch (activation) {
    case null:
      return body('return x;');
    case 'relu':
      return body('return x < 0.0 ? 0.0 : x;');
    case 'tanh':
      return TANH + body('return x != x ? x : tanh_exact(x);');
    case 'sigmoid':
      return EXP + body('return x != x ? x : sigmoid(x);');
    case 'silu':
      return EXP + body('return x != x ? x : x < -200.0 ? 0.0 : x * sigmoid(x);');
    case 'gelu_tanh':
      // 1 + tanh(u) is 2 sigmoid(2u), without the cancellation where u < 0.
      return (
        EXP + body('return x != x ? x : x < -20.0 ? 0.0 : x > 20.0 ? x : x * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x));')
      );
    case 'gelu':
      return (
        EXP +
        TAIL +
        body(`if (x != x) return x;
  if (x < -20.0) return 0.0;
  float tail = 0.5 * twice_tail(min(abs(x), 20.0));
  return x * (x < 0.0 ? tail : 1.0 - tail);`)
      );
  }
}
