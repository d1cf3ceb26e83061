/** A table of integers as a short polynomial of the code, rounded: arithmetic in place of choices. */
import type {FieldMasks} from './fields.js';
import {remember} from './memo.js';

/** Of a higher degree, coefficients for codes at the top of a word would be subnormal. */
const DEGREE = 4;

/** How far from an entry the polynomial may be: the rest up to a half is for float32, whatever the device fuses. */
const CLOSE = 0.45;

/** The tables that one is found for take a few. */
const ROUNDS = 50;

const known = new Map<string, readonly number[] | null>();

const at = (polynomial: readonly number[], t: number) => polynomial.reduceRight((sum, c) => sum * t + c, 0);

/** Coefficients, lowest first, of a polynomial of degree 4 in the code that rounds to each of 16 integers; null where none was found. */
export function roundedPolynomial(table: readonly number[]): readonly number[] | null {
  return remember(known, table.join(), () => (table.every(Number.isInteger) ? approximate(table) : null));
}

/** Lawson's algorithm: least squares again and again, each point weighing more by how far off it was, which tends to the least largest error. */
function approximate(table: readonly number[]): readonly number[] | null {
  let weights = table.map(() => 1);
  for (let round = 0; round < ROUNDS; round++) {
    const polynomial = leastSquares(table, weights);
    const errors = table.map((v, code) => Math.abs(at(polynomial, code) - v));
    if (Math.max(...errors) < CLOSE) return polynomial;
    weights = weights.map((w, code) => w * (errors[code] as number));
    const mean = weights.reduce((a, b) => a + b) / weights.length;
    weights = weights.map((w) => w / mean);
  }
  return null;
}

/** Over polynomials that are orthogonal at the codes. */
function leastSquares(table: readonly number[], weights: readonly number[]): number[] {
  const dot = (a: (code: number) => number, b: (code: number) => number) =>
    weights.reduce((sum, w, code) => sum + w * a(code) * b(code), 0);
  const basis: number[][] = [];
  let sum: number[] = [];
  for (let d = 0; d <= DEGREE; d++) {
    let next = [...Array<number>(d).fill(0), 1];
    const value = (code: number) => at(next, code);
    for (const q of basis) {
      const other = (code: number) => at(q, code);
      const part = dot(value, other) / dot(other, other);
      next = next.map((c, i) => c - part * (q[i] ?? 0));
    }
    basis.push(next);
    const part = dot((code) => table[code] as number, value) / dot(value, value);
    sum = next.map((c, i) => (sum[i] ?? 0) + part * c);
  }
  return sum;
}

/** The same polynomial of (code - from) * unit. */
function moved(polynomial: readonly number[], from: number, unit: number): number[] {
  const out = [...polynomial];
  for (let i = 0; i < out.length; i++)
    for (let k = out.length - 2; k >= i; k--) out[k] = (out[k] as number) + from * (out[k + 1] as number);
  return out.map((c, k) => c / unit ** k);
}

/** A float of shader text. */
export const literal = (v: number) => (Number.isInteger(v) ? `${v}.0` : `${v}`);

/**
 * Shader text for the numbers of four 4-bit codes, `t` holding them as masked where they lie. Of a number that is not near a half, floor(p + 1/2) is
 * the nearest integer; a shader's round() takes care of halves, which a CPU does step by step.
 * @param float4 what a shading language calls a vector of four floats
 */
export function polynomialText(polynomial: readonly number[], {positions, lifts}: FieldMasks, float4: string): string {
  const lanes = positions.map((p, c) => moved(polynomial, (lifts[c] as number) / 2 ** p, 2 ** p));
  const coefficients = polynomial.map(
    (_, k) => `${float4}(${lanes.map((c) => literal((c[k] as number) + (k === 0 ? 0.5 : 0))).join(', ')})`,
  );
  return `floor${coefficients.reduceRight((text, c) => `(${text} * t + ${c})`)}`;
}
