// Attention of one position over those before it: softmax(q . k^T) . v for the rows of q that share a head of k and v.
import {exp4} from './fused';
import {fma, total} from './vectors';

/** scores[t] = q . column t of k [dim, count]. */
function againstColumns(q: usize, dim: i32, k: usize, count: i32, scores: usize): void {
  const row = <usize>count << 2;
  let t = 0;
  for (; t + 16 <= count; t += 16) {
    let p = k + (<usize>t << 2), f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0;
    for (let d = 0; d < dim; d++, p += row) {
      const s = v128.load32_splat(q + (<usize>d << 2));
      f0 = fma(f0, s, v128.load(p)); f1 = fma(f1, s, v128.load(p, 16)); f2 = fma(f2, s, v128.load(p, 32)); f3 = fma(f3, s, v128.load(p, 48));
    }
    const o = scores + (<usize>t << 2);
    v128.store(o, f0); v128.store(o, f1, 16); v128.store(o, f2, 32); v128.store(o, f3, 48);
  }
  for (; t < count; t++) {
    let p = k + (<usize>t << 2), f: f32 = 0;
    for (let d = 0; d < dim; d++, p += row) f += load<f32>(q + (<usize>d << 2)) * load<f32>(p);
    store<f32>(scores + (<usize>t << 2), f);
  }
}

/** scores[t] = q . row t of k [count, dim]. */
function againstRows(q: usize, dim: i32, k: usize, count: i32, scores: usize): void {
  for (let t = 0; t < count; t++, k += <usize>dim << 2) {
    let f = f32x4.splat(0), d = 0;
    for (; d + 4 <= dim; d += 4) f = fma(f, v128.load(q + (<usize>d << 2)), v128.load(k + (<usize>d << 2)));
    let s = total(f);
    for (; d < dim; d++) s += load<f32>(q + (<usize>d << 2)) * load<f32>(k + (<usize>d << 2));
    store<f32>(scores + (<usize>t << 2), s);
  }
}

/** Scores to e^(score - largest), of `count` and zeros up to a multiple of four; returns their sum. */
function exponentials(scores: usize, count: i32): f32 {
  let largest: f32 = -Infinity;
  for (let t = 0; t < count; t++) largest = max(largest, load<f32>(scores + (<usize>t << 2)));
  for (let t = count; t & 3; t++) store<f32>(scores + (<usize>t << 2), -Infinity);
  const shift = f32x4.splat(largest), low = f32x4.splat(-87);
  let sum = f32x4.splat(0);
  for (let t = 0; t < count; t += 4) {
    const at = scores + (<usize>t << 2), x = f32x4.sub(v128.load(at), shift);
    const e = v128.andnot(exp4(f32x4.max(x, low)), f32x4.lt(x, low));
    v128.store(at, e);
    sum = f32x4.add(sum, e);
  }
  return total(sum);
}

/** out + sum of weights[t] * row t of v [count, dim], sixteen columns. */
// @ts-ignore: decorator
@inline
function add16(out: usize, v: usize, dim: i32, weights: usize, count: i32): void {
  let f0 = v128.load(out), f1 = v128.load(out, 16), f2 = v128.load(out, 32), f3 = v128.load(out, 48);
  for (let t = 0; t < count; t++, v += <usize>dim << 2) {
    const s = v128.load32_splat(weights + (<usize>t << 2));
    f0 = fma(f0, s, v128.load(v)); f1 = fma(f1, s, v128.load(v, 16)); f2 = fma(f2, s, v128.load(v, 32)); f3 = fma(f3, s, v128.load(v, 48));
  }
  v128.store(out, f0); v128.store(out, f1, 16); v128.store(out, f2, 32); v128.store(out, f3, 48);
}

function addRows(out: usize, v: usize, dim: i32, weights: usize, count: i32): void {
  let d = 0;
  for (; d + 16 <= dim; d += 16) add16(out + (<usize>d << 2), v + (<usize>d << 2), dim, weights, count);
  for (; d < dim; d++) {
    let f = load<f32>(out + (<usize>d << 2)), p = v + (<usize>d << 2);
    for (let t = 0; t < count; t++, p += <usize>dim << 2) f += load<f32>(weights + (<usize>t << 2)) * load<f32>(p);
    store<f32>(out + (<usize>d << 2), f);
  }
}

/**
 * q [rows, dim] -> out [rows, dim]. The body: k [dim, count], v [count, dim]; the tail, positions after it: k and v [tailCount, dim].
 * scores: count + tailCount float32, rounded up to a multiple of four.
 */
export function attend(
  q: usize, rows: i32, dim: i32, k: usize, v: usize, count: i32, tailK: usize, tailV: usize, tailCount: i32, scores: usize, out: usize,
): void {
  const step = <usize>dim << 2, tail = scores + (<usize>count << 2);
  for (let r = 0; r < rows; r++, q += step, out += step) {
    againstColumns(q, dim, k, count, scores);
    againstRows(q, dim, tailK, tailCount, tail);
    const scale: f32 = 1 / exponentials(scores, count + tailCount);
    memory.fill(out, 0, step);
    addRows(out, v, dim, scores, count);
    addRows(out, tailV, dim, tail, tailCount);
    for (let d = 0; d < dim; d++) store<f32>(out + (<usize>d << 2), load<f32>(out + (<usize>d << 2)) * scale);
  }
}
