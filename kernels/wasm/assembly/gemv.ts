// y = W . x for one row of x in 16-bit integers; codes are widened in registers, four rows of W at a time.
import {rowAt, rowCodes} from './codes';
import {BITS0, DECODE, IN_DIM, OFFSETS, ROW_WORDS, TABLE, TABLE_FACTOR, ZERO_KIND, ZERO_VALUE, field} from './layout';
import {blockOffsets, blockScales, blockZeros} from './blocks';
import {total} from './vectors';

/** 32 codes of 4 bits times 32 integers in paired order. */
// @ts-ignore: decorator
@inline
function dot4(q: v128, p: usize, c: v128): v128 {
  const lo = v128.and(q, i8x16.splat(15)), hi = i8x16.shr_u(q, 4);
  return i32x4.add(c, i32x4.add(
    i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(lo), v128.load(p)), i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(lo), v128.load(p, 16))),
    i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(hi), v128.load(p, 32)), i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(hi), v128.load(p, 48)))));
}

/** 16 codes of 8 bits times 16 integers in order. */
// @ts-ignore: decorator
@inline
function dot8(q: v128, p: usize, c: v128): v128 {
  return i32x4.add(c, i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(q), v128.load(p)), i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(q), v128.load(p, 16))));
}

// @ts-ignore: decorator
@inline
function add(f: v128, s: v128, scale: usize): v128 {
  return f32x4.add(f, f32x4.mul(f32x4.convert_i32x4_s(s), v128.load32_splat(scale)));
}

function dotFloats(a: usize, b: usize, count: i32): f32 {
  let sum = f32x4.splat(0), i = 0;
  for (; i + 4 <= count; i += 4) sum = f32x4.add(sum, f32x4.mul(v128.load(a + (<usize>i << 2)), v128.load(b + (<usize>i << 2))));
  let t = total(sum);
  for (; i < count; i++) t += load<f32>(a + (<usize>i << 2)) * load<f32>(b + (<usize>i << 2));
  return t;
}

/** Scales of row n times the steps of x into `scales`; returns what zero and offset add to the row's result. */
function rowTerms(w: usize, d: usize, n: i32, block: i32, blocks: i32, steps: usize, sums: usize, scales: usize, extra: usize): f32 {
  blockScales(w, d, n, block, blocks, scales);
  let terms: f32 = 0;
  const kind = field(d, ZERO_KIND);
  if (kind == 1) terms = -<f32>field(d, ZERO_VALUE) * dotFloats(scales, sums, blocks);
  else if (kind == 2) {
    blockZeros(w, d, n, block, blocks, extra);
    for (let b: usize = 0; b < <usize>blocks << 2; b += 16) v128.store(extra + b, f32x4.mul(v128.load(extra + b), v128.load(scales + b)));
    terms = -dotFloats(extra, sums, blocks);
  }
  if (field(d, OFFSETS) > 0) {
    blockOffsets(w, d, n, block, blocks, extra);
    terms += dotFloats(extra, sums, blocks);
  }
  for (let b = 0; b < blocks; b += 4) {
    const at = scales + (<usize>b << 2);
    v128.store(at, f32x4.mul(v128.load(at), v128.load(steps + (<usize>b << 2))));
  }
  return terms;
}

/**
 * Rows begin..end of W (one plane of 4 or 8 bits, integer codes; block a multiple of 32) times one prepared row of x.
 * scratch: 5 runs of blocks + 4 float32. y[0] is row `begin`.
 */
export function gemv(w: usize, d: usize, a: usize, steps: usize, sums: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize): void {
  const run = <usize>(blocks + 4) << 2, rowBytes = <usize>field(d, ROW_WORDS) << 2, wide = field(d, BITS0) == 8;
  const s0 = scratch, s1 = s0 + run, s2 = s1 + run, s3 = s2 + run, extra = s3 + run;
  let n = begin;
  for (; n + 4 <= end; n += 4) {
    const t0 = rowTerms(w, d, n, block, blocks, steps, sums, s0, extra), t1 = rowTerms(w, d, n + 1, block, blocks, steps, sums, s1, extra);
    const t2 = rowTerms(w, d, n + 2, block, blocks, steps, sums, s2, extra), t3 = rowTerms(w, d, n + 3, block, blocks, steps, sums, s3, extra);
    let o = rowAt(w, d, n), p = a;
    const o1: usize = rowBytes, o2: usize = 2 * rowBytes, o3: usize = 3 * rowBytes;
    let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0;
    for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
      let c0 = i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
      if (wide) {
        for (let j = 0; j < block; j += 16, o += 16, p += 32) {
          c0 = dot8(v128.load(o), p, c0);
          c1 = dot8(v128.load(o + o1), p, c1);
          c2 = dot8(v128.load(o + o2), p, c2);
          c3 = dot8(v128.load(o + o3), p, c3);
        }
      } else {
        for (let j = 0; j < block; j += 32, o += 16, p += 64) {
          c0 = dot4(v128.load(o), p, c0);
          c1 = dot4(v128.load(o + o1), p, c1);
          c2 = dot4(v128.load(o + o2), p, c2);
          c3 = dot4(v128.load(o + o3), p, c3);
        }
      }
      f0 = add(f0, c0, s0 + b);
      f1 = add(f1, c1, s1 + b);
      f2 = add(f2, c2, s2 + b);
      f3 = add(f3, c3, s3 + b);
    }
    const out = y + (<usize>(n - begin) << 2);
    store<f32>(out, total(f0) + t0);
    store<f32>(out, total(f1) + t1, 4);
    store<f32>(out, total(f2) + t2, 8);
    store<f32>(out, total(f3) + t3, 12);
  }
  for (; n < end; n++) {
    const t = rowTerms(w, d, n, block, blocks, steps, sums, s0, extra);
    let o = rowAt(w, d, n), p = a, f = f32x4.splat(0);
    for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
      let c = i32x4.splat(0);
      if (wide) for (let j = 0; j < block; j += 16, o += 16, p += 32) c = dot8(v128.load(o), p, c);
      else for (let j = 0; j < block; j += 32, o += 16, p += 64) c = dot4(v128.load(o), p, c);
      f = add(f, c, s0 + b);
    }
    store<f32>(y + (<usize>(n - begin) << 2), total(f) + t);
  }
}

/**
 * The same for any integer codes of at most 8 bits and for tables of small integers: a row's codes go through bytes that stay in the cache.
 * block a multiple of 16, x in plain order. scratch: 2 runs of blocks + 4 float32 and K rounded up to 32 bytes.
 */
export function gemvBytes(w: usize, d: usize, a: usize, steps: usize, sums: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize): void {
  const run = <usize>(blocks + 4) << 2, bytes = scratch + 2 * run, tabled = field(d, DECODE) == 6, inDim = field(d, IN_DIM);
  const factor: f32 = tabled ? load<f32>(d + TABLE_FACTOR) : 1;
  for (let n = begin; n < end; n++, y += 4) {
    const t = rowTerms(w, d, n, block, blocks, steps, sums, scratch, scratch + run);
    rowCodes(w, d, n, bytes);
    let o = bytes, p = a, f = f32x4.splat(0);
    if (tabled) {
      const table = v128.load(<usize>field(d, TABLE));
      for (let k = 0; k < inDim; k += 16) v128.store(bytes + <usize>k, i8x16.swizzle(table, v128.load(bytes + <usize>k)));
    }
    for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
      let c = i32x4.splat(0), e = c;
      if (tabled) {
        for (let j = 0; j < block; j += 16, o += 16, p += 32) {
          const q = v128.load(o);
          c = i32x4.add(c, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(q), v128.load(p)));
          e = i32x4.add(e, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(q), v128.load(p, 16)));
        }
      } else {
        for (let j = 0; j < block; j += 16, o += 16, p += 32) {
          const q = v128.load(o);
          c = i32x4.add(c, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(q), v128.load(p)));
          e = i32x4.add(e, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(q), v128.load(p, 16)));
        }
      }
      f = add(f, i32x4.add(c, e), scratch + b);
    }
    store<f32>(y, total(f) * factor + t);
  }
}
