// Attention of new positions over those before them and each other: softmax(q . k^T) . v, where position m sees those up to its own.
import {exp4} from './fused';
import {fma, total} from './vectors';

/** One head x [dim] -> out: each pair (x[i], x[i + dim / 2]) turned by the angle whose cosine and sine are cos[i] and sin[i]. */
function turn(x: usize, dim: i32, cos: usize, sin: usize, out: usize): void {
  const half = dim >> 1, apart = <usize>half << 2;
  let i = 0;
  for (; i + 4 <= half; i += 4) {
    const at = <usize>i << 2, a = v128.load(x + at), b = v128.load(x + at + apart), c = v128.load(cos + at), s = v128.load(sin + at);
    v128.store(out + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
    v128.store(out + at + apart, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
  }
  for (; i < half; i++) {
    const at = <usize>i << 2, a = load<f32>(x + at), b = load<f32>(x + at + apart), c = load<f32>(cos + at), s = load<f32>(sin + at);
    store<f32>(out + at, a * c - b * s);
    store<f32>(out + at + apart, b * c + a * s);
  }
}

/**
 * One position of qkv [heads + 2 keyHeads, dim]: heads begin..end of q, turned, to q, `apart` bytes from each other; the heads of k that they meet, turned,
 * and of v to the place of position `length` in keys and values [keyHeads, capacity, dim]. cos, sin [dim / 2].
 */
export function appendTo(
  qkv: usize, begin: i32, end: i32, heads: i32, keyHeads: i32, dim: i32, cos: usize, sin: usize, length: i32, keys: usize, values: usize, capacity: i32, q: usize,
  apart: usize,
): void {
  const step = <usize>dim << 2, group = heads / keyHeads, k = qkv + <usize>heads * step, v = k + <usize>keyHeads * step;
  for (let h = begin; h < end; h++) turn(qkv + <usize>h * step, dim, cos, sin, q + <usize>h * apart);
  for (let h = begin / group; h <= (end - 1) / group; h++) {
    const to = <usize>(h * capacity + length) * step;
    turn(k + <usize>h * step, dim, cos, sin, keys + to);
    memory.copy(values + to, v + <usize>h * step, step);
  }
}

/** The same of all heads at `count` positions, from `length` on: q [heads, count, dim]; cos, sin [count, dim / 2]. */
export function appendHeads(
  qkv: usize, count: i32, heads: i32, keyHeads: i32, dim: i32, cos: usize, sin: usize, length: i32, keys: usize, values: usize, capacity: i32, q: usize,
): void {
  const step = <usize>dim << 2, half = <usize>(dim >> 1) << 2, row = <usize>(heads + 2 * keyHeads) * step;
  for (let m = 0; m < count; m++, qkv += row, cos += half, sin += half, q += step) {
    appendTo(qkv, 0, heads, heads, keyHeads, dim, cos, sin, length + m, keys, values, capacity, q, <usize>count * step);
  }
}

/** The sums of four vectors' lanes. */
// @ts-ignore: decorator
@inline
function totals(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7));
  return f32x4.add(i32x4.shuffle(ab, cd, 0, 1, 4, 5), i32x4.shuffle(ab, cd, 2, 3, 6, 7));
}

/** scores[t] = row t of k [count, dim] . q, and of q1 where there are two; up to three beyond `count` are written, of no meaning. */
// @ts-ignore: decorator
@inline
function scoresOf(two: bool, q: usize, q1: usize, dim: i32, k: usize, count: i32, s: usize, s1: usize): void {
  const step = <usize>dim << 2, whole = <usize>(dim & ~3) << 2;
  for (let t = 0; t < count; t += 4, k += step << 2, s += 16, s1 += 16) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    let p = k;
    for (let d: usize = 0; d < whole; d += 16, p += 16) {
      const v0 = v128.load(p), v1 = v128.load(p + step), v2 = v128.load(p + 2 * step), v3 = v128.load(p + 3 * step), x = v128.load(q + d);
      a0 = fma(a0, x, v0); a1 = fma(a1, x, v1); a2 = fma(a2, x, v2); a3 = fma(a3, x, v3);
      if (two) {
        const y = v128.load(q1 + d);
        b0 = fma(b0, y, v0); b1 = fma(b1, y, v1); b2 = fma(b2, y, v2); b3 = fma(b3, y, v3);
      }
    }
    for (let d = whole; d < step; d += 4, p += 4) {
      const x = v128.load32_zero(q + d), y = v128.load32_zero(q1 + d);
      a0 = fma(a0, x, v128.load32_zero(p)); a1 = fma(a1, x, v128.load32_zero(p + step));
      a2 = fma(a2, x, v128.load32_zero(p + 2 * step)); a3 = fma(a3, x, v128.load32_zero(p + 3 * step));
      if (two) {
        b0 = fma(b0, y, v128.load32_zero(p)); b1 = fma(b1, y, v128.load32_zero(p + step));
        b2 = fma(b2, y, v128.load32_zero(p + 2 * step)); b3 = fma(b3, y, v128.load32_zero(p + 3 * step));
      }
    }
    v128.store(s, totals(a0, a1, a2, a3));
    if (two) v128.store(s1, totals(b0, b1, b2, b3));
  }
}

/** The first `count` scores to e^(score - largest), and zeros up to `most` and a multiple of four beyond; returns 1 / their sum. */
function weights(scores: usize, count: i32, most: i32): f32 {
  let t = count;
  for (; t & 3; t++) store<f32>(scores + (<usize>t << 2), -Infinity);
  let high = f32x4.splat(-Infinity);
  for (let i = 0; i < t; i += 4) high = f32x4.max(high, v128.load(scores + (<usize>i << 2)));
  const largest = max(max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)), max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)));
  const shift = f32x4.splat(largest), low = f32x4.splat(-87);
  let sum = f32x4.splat(0);
  for (let i = 0; i < t; i += 4) {
    const at = scores + (<usize>i << 2), x = f32x4.sub(v128.load(at), shift);
    const e = v128.andnot(exp4(f32x4.max(x, low)), f32x4.lt(x, low));
    v128.store(at, e);
    sum = f32x4.add(sum, e);
  }
  for (; t < most; t += 4) v128.store(scores + (<usize>t << 2), f32x4.splat(0));
  return 1 / total(sum);
}

/** out = scale * sum over t of s[t] * row t of v [count, dim], and out1 with s1 and scale1 where there are two. */
// @ts-ignore: decorator
@inline
function mixed(two: bool, s: usize, s1: usize, v: usize, dim: i32, count: i32, scale: f32, scale1: f32, out: usize, out1: usize): void {
  const step = <usize>dim << 2, end = s + (<usize>count << 2), apart = s1 - s, z = f32x4.splat(scale), z1 = f32x4.splat(scale1);
  let d: usize = 0;
  for (; d + 64 <= step; d += 64) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (let w = s, p = v + d; w < end; w += 4, p += step) {
      const x = v128.load32_splat(w), v0 = v128.load(p), v1 = v128.load(p, 16), v2 = v128.load(p, 32), v3 = v128.load(p, 48);
      a0 = fma(a0, x, v0); a1 = fma(a1, x, v1); a2 = fma(a2, x, v2); a3 = fma(a3, x, v3);
      if (two) {
        const y = v128.load32_splat(w + apart);
        b0 = fma(b0, y, v0); b1 = fma(b1, y, v1); b2 = fma(b2, y, v2); b3 = fma(b3, y, v3);
      }
    }
    const o = out + d, o1 = out1 + d;
    v128.store(o, f32x4.mul(a0, z)); v128.store(o, f32x4.mul(a1, z), 16); v128.store(o, f32x4.mul(a2, z), 32); v128.store(o, f32x4.mul(a3, z), 48);
    if (two) {
      v128.store(o1, f32x4.mul(b0, z1)); v128.store(o1, f32x4.mul(b1, z1), 16); v128.store(o1, f32x4.mul(b2, z1), 32); v128.store(o1, f32x4.mul(b3, z1), 48);
    }
  }
  for (; d < step; d += 4) {
    let a = f32x4.splat(0), b = a;
    for (let w = s, p = v + d; w < end; w += 4, p += step) {
      const x = v128.load32_zero(p);
      a = fma(a, v128.load32_zero(w), x);
      if (two) b = fma(b, v128.load32_zero(w + apart), x);
    }
    store<f32>(out + d, f32x4.extract_lane(a, 0) * scale);
    if (two) store<f32>(out1 + d, f32x4.extract_lane(b, 0) * scale1);
  }
}

/**
 * Rows begin..end of q [heads, count, dim], `group` heads of q for each of keys and values [.., capacity, dim] -> out [count, heads, dim]. Position m
 * sees length + m + 1. scores: two runs of length + count + 8 float32. Rows that follow each other share what they read.
 */
export function attend(
  q: usize, begin: i32, end: i32, count: i32, heads: i32, group: i32, dim: i32, length: i32, keys: usize, values: usize, capacity: i32, scores: usize, out: usize,
): void {
  const step = <usize>dim << 2, scores1 = scores + (<usize>(length + count + 8) << 2), shared = group * count;
  for (let u = begin; u < end; ) {
    const head = u / shared, k = keys + <usize>(head * capacity) * step, v = values + <usize>(head * capacity) * step;
    const q0 = q + <usize>u * step, m = u % count, seen = length + m + 1, o = out + <usize>(m * heads + u / count) * step;
    if (u + 1 < end && (u + 1) / shared == head) {
      const m1 = (u + 1) % count, seen1 = length + m1 + 1, most = max(seen, seen1), o1 = out + <usize>(m1 * heads + (u + 1) / count) * step;
      scoresOf(true, q0, q0 + step, dim, k, most, scores, scores1);
      const scale = weights(scores, seen, most), scale1 = weights(scores1, seen1, most);
      mixed(true, scores, scores1, v, dim, most, scale, scale1, o, o1);
      u += 2;
    } else {
      scoresOf(false, q0, q0, dim, k, seen, scores, scores);
      const scale = weights(scores, seen, seen);
      mixed(false, scores, scores, v, dim, seen, scale, scale, o, o);
      u++;
    }
  }
}
