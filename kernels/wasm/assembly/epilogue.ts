// Bias and activation over y in place, in float64 a number. No library maths: its tables would be static data in a foreign heap.

/** e^x to 1e-14 by range reduction to |r| <= ln 2 / 2 and its series; 0 and infinity at the ends. */
export function exp(x: f64): f64 {
  if (x > 709) return f64.POSITIVE_INFINITY;
  if (x < -708) return 0;
  const k = nearest(x * 1.4426950408889634);
  const r = x - k * 6.93147180369123816490e-01 - k * 1.90821492927058770002e-10;
  let p = 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return p * reinterpret<f64>((<i64>k + 1023) << 52);
}

function tanh(x: f64): f64 {
  const magnitude = abs(x);
  if (magnitude < 1e-4) return x - x * x * x / 3;
  const e = exp(-2 * magnitude);
  return copysign((1 - e) / (1 + e), x);
}

/** The series and tail of kernels/activation.ts. */
function erf(x: f64): f64 {
  const magnitude = abs(x);
  if (magnitude > 6) return copysign<f64>(1, x);
  const square = magnitude * magnitude;
  if (magnitude > 4.5) {
    const tail = 1 - 1 / (2 * square) + 3 / (4 * square * square);
    return copysign(1 - exp(-square) / magnitude * tail * 1.1283791670955126 / 2, x);
  }
  let term = magnitude, sum = magnitude;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= 2 * square / (2 * n + 1);
    sum += term;
  }
  return copysign(1.1283791670955126 * exp(-square) * sum, x);
}

export function activate(kind: i32, x: f64): f64 {
  switch (kind) {
    case 1: return x == f64.NEGATIVE_INFINITY ? 0 : x / (1 + exp(-x));
    case 2: return x == f64.NEGATIVE_INFINITY ? 0 : 0.5 * x * (1 + erf(x * 0.7071067811865476));
    case 3: return x == f64.NEGATIVE_INFINITY ? 0 : 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case 4: return x > 0 || x != x ? x : 0;
    case 5: return tanh(x);
    case 6: return 1 / (1 + exp(-x));
    default: return x;
  }
}

/** y [rows, n] = act(y + bias). bias 0: none. kind 0: no activation; 1 silu, 2 gelu, 3 gelu_tanh, 4 relu, 5 tanh, 6 sigmoid. */
export function finish(y: usize, bias: usize, rows: i32, n: i32, kind: i32): void {
  for (let m = 0; m < rows; m++) {
    for (let i = 0; i < n; i++) {
      const at = y + (<usize>(m * n + i) << 2);
      let v = load<f32>(at);
      if (bias != 0) v += load<f32>(bias + (<usize>i << 2));
      store<f32>(at, kind == 0 ? v : <f32>activate(kind, v));
    }
  }
}
