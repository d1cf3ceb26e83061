// y = W . x for one row of x as it is, with float codes decoded in registers: float32, float16, bfloat16 and 8-bit e4m3, four rows of W at a time.
import {blockScales} from './blocks';
import {rowAt} from './codes';
import {DECODE, ROW_WORDS, SCALES, TABLE_FACTOR, field} from './layout';
import {fma, total64, widen} from './vectors';

/**
 * Row of x in the order in which this decoding yields columns. lanes 1: as it is. 2: in each 8, even columns then odd. 4: in each 16,
 * columns 0 4 8 12, 2 6 10 14, 1 5 9 13, 3 7 11 15. order: 0 or uint32 [K] as elsewhere. factor multiplies x.
 */
export function prepareFloats(x: usize, order: usize, inDim: i32, lanes: i32, factor: f32, out: usize): void {
  for (let k = 0; k < inDim; k++) {
    let j = k;
    if (lanes == 2) j = (k & ~7) | ((k & 1) << 2) | ((k & 7) >> 1);
    else if (lanes == 4) j = (k & ~15) | ((k & 1) << 3) | ((k & 2) << 1) | ((k & 15) >> 2);
    const from = order == 0 ? <u32>k : load<u32>(order + (<usize>k << 2));
    store<f32>(out + (<usize>j << 2), load<f32>(x + (<usize>from << 2)) * factor);
  }
}

/** The dot of `block` codes at o with x at p; kind 1 float32, 2 float16, 3 bfloat16, 7 e4m3 (numbers times 2^-120). */
// @ts-ignore: decorator
@inline
function dot(kind: i32, o: usize, p: usize, block: i32): v128 {
  let f = f32x4.splat(0), g = f;
  if (kind == 1) {
    for (let j = 0; j < block; j += 8, o += 32, p += 32) {
      f = fma(f, v128.load(o), v128.load(p));
      g = fma(g, v128.load(o, 16), v128.load(p, 16));
    }
  } else if (kind == 2) {
    // 2^112 lifts the exponent; infinities and NaN, whose exponent is all ones, stay what they are.
    const up = f32x4.splat(reinterpret<f32>(0x77800000)), mask = i32x4.splat(0x8fffe000), top = i32x4.splat(0x0f800000), inf = i32x4.splat(0x7f800000);
    for (let j = 0; j < block; j += 8, o += 16, p += 32) {
      let h = v128.and(i32x4.shl(v128.load16x4_s(o), 13), mask);
      f = fma(f, v128.bitselect(v128.or(h, inf), f32x4.mul(h, up), i32x4.eq(v128.and(h, top), top)), v128.load(p));
      h = v128.and(i32x4.shl(v128.load16x4_s(o + 8), 13), mask);
      g = fma(g, v128.bitselect(v128.or(h, inf), f32x4.mul(h, up), i32x4.eq(v128.and(h, top), top)), v128.load(p, 16));
    }
  } else if (kind == 3) {
    const high = i32x4.splat(0xffff0000);
    for (let j = 0; j < block; j += 8, o += 16, p += 32) {
      const v = v128.load(o);
      f = fma(f, i32x4.shl(v, 16), v128.load(p));
      g = fma(g, v128.and(v, high), v128.load(p, 16));
    }
  } else {
    // A byte s eeee mmm moved to sign and bits 10..4 of 16 is a bfloat16 whose exponent is 120 too small; subnormals come out right too.
    const field = i16x8.splat(<i16>0x87f0), high = i32x4.splat(0xffff0000);
    for (let j = 0; j < block; j += 16, o += 16, p += 64) {
      const v = v128.load(o), even = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), field), odd = v128.and(i16x8.shr_s(v, 4), field);
      f = fma(f, i32x4.shl(even, 16), v128.load(p));
      g = fma(g, v128.and(even, high), v128.load(p, 16));
      f = fma(f, i32x4.shl(odd, 16), v128.load(p, 32));
      g = fma(g, v128.and(odd, high), v128.load(p, 48));
    }
  }
  return f32x4.add(f, g);
}

/** One row: block sums in float32, their sum in float64. */
// @ts-ignore: decorator
@inline
function row(kind: i32, w: usize, d: usize, n: i32, x: usize, block: i32, blockBytes: usize, blocks: i32, scales: usize, hasScale: bool): f32 {
  if (hasScale) blockScales(w, d, n, block, blocks, scales);
  let o = rowAt(w, d, n), p = x;
  let sum = f64x2.splat(0);
  for (let b = 0; b < blocks; b++, o += blockBytes, p += <usize>block << 2) {
    let f = dot(kind, o, p, block);
    if (hasScale) f = f32x4.mul(f, v128.load32_splat(scales + (<usize>b << 2)));
    sum = widen(sum, f);
  }
  return <f32>(total64(sum) * <f64>load<f32>(d + TABLE_FACTOR));
}

/** Two rows of 8-bit codes at once: x is loaded once for both. Sums of one block of row n in lanes of `out`, of row n + 1 behind it. */
// @ts-ignore: decorator
@inline
function dotPair(o: usize, rowBytes: usize, p: usize, block: i32, out: usize): void {
  const field = i16x8.splat(<i16>0x87f0), high = i32x4.splat(0xffff0000);
  let f = f32x4.splat(0), g = f;
  for (let j = 0; j < block; j += 16, o += 16, p += 64) {
    const v = v128.load(o), even = v128.and(i16x8.shr_s(i16x8.shl(v, 8), 4), field), odd = v128.and(i16x8.shr_s(v, 4), field);
    const w = v128.load(o + rowBytes), even1 = v128.and(i16x8.shr_s(i16x8.shl(w, 8), 4), field), odd1 = v128.and(i16x8.shr_s(w, 4), field);
    let x = v128.load(p);
    f = fma(f, i32x4.shl(even, 16), x);
    g = fma(g, i32x4.shl(even1, 16), x);
    x = v128.load(p, 16);
    f = fma(f, v128.and(even, high), x);
    g = fma(g, v128.and(even1, high), x);
    x = v128.load(p, 32);
    f = fma(f, i32x4.shl(odd, 16), x);
    g = fma(g, i32x4.shl(odd1, 16), x);
    x = v128.load(p, 48);
    f = fma(f, v128.and(odd, high), x);
    g = fma(g, v128.and(odd1, high), x);
  }
  v128.store(out, f);
  v128.store(out, g, 16);
}

/** Rows n and n + 1 of 8-bit codes. scratch: 2 runs of blocks + 4 float32, 32 bytes. */
function pair(w: usize, d: usize, n: i32, x: usize, block: i32, blockBytes: usize, blocks: i32, scratch: usize, hasScale: bool, y: usize): void {
  const run = <usize>(blocks + 4) << 2, sums = scratch + 2 * run, rowBytes = <usize>field(d, ROW_WORDS) << 2;
  if (hasScale) {
    blockScales(w, d, n, block, blocks, scratch);
    blockScales(w, d, n + 1, block, blocks, scratch + run);
  }
  let o = rowAt(w, d, n), p = x, a = f64x2.splat(0), b = a;
  for (let i: usize = 0; i < <usize>blocks << 2; i += 4, o += blockBytes, p += <usize>block << 2) {
    dotPair(o, rowBytes, p, block, sums);
    let f = v128.load(sums), g = v128.load(sums, 16);
    if (hasScale) {
      f = f32x4.mul(f, v128.load32_splat(scratch + i));
      g = f32x4.mul(g, v128.load32_splat(scratch + run + i));
    }
    a = widen(a, f);
    b = widen(b, g);
  }
  const factor = <f64>load<f32>(d + TABLE_FACTOR);
  store<f32>(y, <f32>(total64(a) * factor));
  store<f32>(y, <f32>(total64(b) * factor), 4);
}

/**
 * Rows begin..end of W times one prepared row of x; block a multiple of 16 that divides K and every group. y[0] is row `begin`.
 * The factor field of the descriptor undoes the exponent shift of e4m3. scratch: 2 runs of blocks + 4 float32, 32 bytes.
 */
export function gemvFloats(w: usize, d: usize, x: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize): void {
  const kind = field(d, DECODE), hasScale = field(d, SCALES) > 0, rowBytes = <usize>field(d, ROW_WORDS) << 2;
  const bytes = rowBytes / blocks;
  let n = begin;
  if (kind == 7) for (; n + 2 <= end; n += 2, y += 8) pair(w, d, n, x, block, bytes, blocks, scratch, hasScale, y);
  for (; n < end; n++, y += 4) {
    if (kind == 1) store<f32>(y, row(1, w, d, n, x, block, bytes, blocks, scratch, hasScale));
    else if (kind == 2) store<f32>(y, row(2, w, d, n, x, block, bytes, blocks, scratch, hasScale));
    else if (kind == 3) store<f32>(y, row(3, w, d, n, x, block, bytes, blocks, scratch, hasScale));
    else store<f32>(y, row(7, w, d, n, x, block, bytes, blocks, scratch, hasScale));
  }
}
