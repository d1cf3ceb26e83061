// Rows of x times eight of W: eight vectors of sums stay in registers, of bytes twelve; six loads feed eight products, eight feed twelve, and a block's sums
// are scaled four at a time.
import {FOURS, PAIRS, SHORT, SPLIT} from './panels';
import {fma} from './vectors';

/** Adds the products of x and of W to sums of 32 bits, or of 16 (SHORT). */
// @ts-ignore: decorator
@inline
function dot(kind: i32, x: v128, q: v128, c: v128): v128 {
  if (kind == PAIRS) return i32x4.add(c, i32x4.dot_i16x8_s(x, q));
  if (!ASC_FEATURE_RELAXED_SIMD) return c;
  return kind == SHORT ? i16x8.add(c, i16x8.relaxed_dot_i8x16_i7x16_s(x, q)) : i32x4.relaxed_dot_i8x16_i7x16_add_s(x, q, c);
}

/** t += scale * sums. */
// @ts-ignore: decorator
@inline
function add(kind: i32, t: v128, c: v128, scale: v128): v128 {
  return fma(t, f32x4.convert_i32x4_s(kind == SHORT ? i32x4.extadd_pairwise_i16x8_s(c) : c), scale);
}

/** Sums of a row's high bytes and of its low ones. */
// @ts-ignore: decorator
@inline
function joined(high: v128, low: v128): v128 {
  return i32x4.add(i32x4.shl(high, 8), low);
}

/** Results of a row of x: t float32 [8] += sums of a block times its step and W's scales. */
// @ts-ignore: decorator
@inline
function finish(kind: i32, t: usize, c0: v128, c1: v128, s0: v128, s1: v128, step: usize): void {
  const h = v128.load32_splat(step);
  v128.store(t, add(kind, v128.load(t), c0, f32x4.mul(s0, h)));
  v128.store(t, add(kind, v128.load(t, 16), c1, f32x4.mul(s1, h)), 16);
}

/**
 * `blocks` blocks of a panel p and a pack x: t float32 [rows, 8] += their products. scales s float32 [blocks, 8], steps h `apart` bytes a block.
 * A block is `depth` bytes of the panel. four, six: rows of the pack that are multiplied, SPLIT's of high and of low bytes; neither: two. Two products of
 * bytes start in a cycle of x86 and take five, so that it takes ten sums and more to keep it busy. One step an iteration: engines mix several, and run
 * out of registers.
 */
// @ts-ignore: decorator
@inline
function tile(kind: i32, four: bool, six: bool, p: usize, x: usize, s: usize, h: usize, apart: usize, t: usize, depth: usize, blocks: i32): void {
  const xStep: usize = kind == PAIRS || kind == SHORT ? 16 : 24;
  for (const stop = s + (<usize>blocks << 5); s < stop; s += 32, h += apart) {
    let a0 = i32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, e0 = a0, e1 = a0, f0 = a0, f1 = a0, g0 = a0, g1 = a0;
    for (const end = p + depth; p < end; p += 32, x += xStep) {
      const q0 = v128.load(p), q1 = v128.load(p, 16);
      let u = v128.load32_splat(x);
      a0 = dot(kind, u, q0, a0); a1 = dot(kind, u, q1, a1);
      u = v128.load32_splat(x, 4);
      b0 = dot(kind, u, q0, b0); b1 = dot(kind, u, q1, b1);
      if (four) {
        u = v128.load32_splat(x, 8);
        c0 = dot(kind, u, q0, c0); c1 = dot(kind, u, q1, c1);
        u = v128.load32_splat(x, 12);
        e0 = dot(kind, u, q0, e0); e1 = dot(kind, u, q1, e1);
      }
      if (six) {
        u = v128.load32_splat(x, 16);
        f0 = dot(kind, u, q0, f0); f1 = dot(kind, u, q1, f1);
        u = v128.load32_splat(x, 20);
        g0 = dot(kind, u, q0, g0); g1 = dot(kind, u, q1, g1);
      }
    }
    const s0 = v128.load(s), s1 = v128.load(s, 16);
    if (kind == SPLIT) {
      finish(kind, t, joined(a0, b0), joined(a1, b1), s0, s1, h);
      if (four) finish(kind, t + 32, joined(c0, e0), joined(c1, e1), s0, s1, h + 4);
      if (six) finish(kind, t + 64, joined(f0, g0), joined(f1, g1), s0, s1, h + 8);
    } else {
      finish(kind, t, a0, a1, s0, s1, h);
      finish(kind, t + 32, b0, b1, s0, s1, h + 4);
      if (four) {
        finish(kind, t + 64, c0, c1, s0, s1, h + 8);
        finish(kind, t + 96, e0, e1, s0, s1, h + 12);
      }
      if (six) {
        finish(kind, t + 128, f0, f1, s0, s1, h + 16);
        finish(kind, t + 160, g0, g1, s0, s1, h + 20);
      }
    }
  }
}

/** A tile of as many rows of x as a pack has. */
export function multiply(kind: i32, rows: i32, p: usize, x: usize, s: usize, h: usize, apart: usize, t: usize, block: i32, blocks: i32): void {
  const pairs = <usize>block << 4, fours = pairs >> 1;
  if (!ASC_FEATURE_RELAXED_SIMD || kind == PAIRS) {
    if (rows > 2) tile(PAIRS, true, false, p, x, s, h, apart, t, pairs, blocks);
    else tile(PAIRS, false, false, p, x, s, h, apart, t, pairs, blocks);
  } else if (kind == SHORT) tile(SHORT, true, false, p, x, s, h, apart, t, fours, blocks);
  else if (kind == SPLIT) {
    if (rows > 2) tile(SPLIT, true, true, p, x, s, h, apart, t, fours, blocks);
    else tile(SPLIT, true, false, p, x, s, h, apart, t, fours, blocks);
  } else if (rows > 4) tile(FOURS, true, true, p, x, s, h, apart, t, fours, blocks);
  else tile(FOURS, true, false, p, x, s, h, apart, t, fours, blocks);
}

/** t float32 [8] += extra [blocks, 8] times the sums of a row of x, which are `apart` bytes from each other. */
export function addTerms(extra: usize, sums: usize, apart: usize, t: usize, blocks: i32): void {
  let a0 = v128.load(t), a1 = v128.load(t, 16), b0 = f32x4.splat(0), b1 = b0;
  const stop = extra + (<usize>blocks << 5);
  for (const even = extra + (<usize>(blocks & ~1) << 5); extra < even; extra += 64, sums += apart << 1) {
    const u = v128.load32_splat(sums), v = v128.load32_splat(sums + apart);
    a0 = fma(a0, u, v128.load(extra));
    a1 = fma(a1, u, v128.load(extra, 16));
    b0 = fma(b0, v, v128.load(extra, 32));
    b1 = fma(b1, v, v128.load(extra, 48));
  }
  if (extra < stop) {
    const u = v128.load32_splat(sums);
    a0 = fma(a0, u, v128.load(extra));
    a1 = fma(a1, u, v128.load(extra, 16));
  }
  v128.store(t, f32x4.add(a0, b0));
  v128.store(t, f32x4.add(a1, b1), 16);
}
