// y = W . x for one row of x in 16-bit integers; codes are widened in registers, four rows of W at a time.
import {rowAt, rowCodes} from './codes';
import {BITS0, DECODE, IN_DIM, LOW_NIBBLES, TABLE, TABLE_FACTOR, field} from './layout';
import {rowTerms} from './terms';
import {fma, total} from './vectors';

/** 32 codes of 4 bits times 32 integers in paired order. */
// @ts-ignore: decorator
@inline
function dot4(q: v128, p: usize, nibbles: v128): v128 {
  const lo = v128.and(q, nibbles), hi = v128.and(i16x8.shr_u(q, 4), nibbles);
  return i32x4.add(
    i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(lo), v128.load(p)), i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(lo), v128.load(p, 16))),
    i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(hi), v128.load(p, 32)), i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(hi), v128.load(p, 48))));
}

// @ts-ignore: decorator
@inline
function half8(q: v128, p: usize): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(q), v128.load(p)), i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(q), v128.load(p, 16)));
}

/** 32 codes of 8 bits at o times 32 integers in order. */
// @ts-ignore: decorator
@inline
function dot8(o: usize, p: usize): v128 {
  return i32x4.add(half8(v128.load(o), p), half8(v128.load(o, 16), p + 32));
}

// @ts-ignore: decorator
@inline
function add(f: v128, s: v128, scale: usize): v128 {
  return fma(f, f32x4.convert_i32x4_s(s), v128.load32_splat(scale));
}

/**
 * Rows begin..end of W (one plane of 4 or 8 bits, integer codes; block a multiple of 32) times one prepared row of x.
 * scratch: 5 runs of blocks + 4 float32. y[0] is row `begin`.
 */
export function gemv(w: usize, d: usize, a: usize, steps: usize, sums: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize): void {
  const run = <usize>(blocks + 4) << 2, wide = field(d, BITS0) == 8, nibbles = v128.load(d + LOW_NIBBLES);
  const s0 = scratch, s1 = s0 + run, s2 = s1 + run, s3 = s2 + run, extra = s3 + run;
  // Rows a quarter of W apart: each quarter is read from end to end, which is what a processor fetches ahead. Past the last, the last again.
  const quarter = (end - begin + 3) >> 2, last = end - 1;
  for (let n = begin; n < begin + quarter; n++) {
    const n1 = min(n + quarter, last), n2 = min(n + 2 * quarter, last), n3 = min(n + 3 * quarter, last);
    const t0 = rowTerms(w, d, n, block, blocks, steps, sums, s0, extra, 0), t1 = rowTerms(w, d, n1, block, blocks, steps, sums, s1, extra, 0);
    const t2 = rowTerms(w, d, n2, block, blocks, steps, sums, s2, extra, 0), t3 = rowTerms(w, d, n3, block, blocks, steps, sums, s3, extra, 0);
    let o = rowAt(w, d, n), p = a;
    const o1 = rowAt(w, d, n1) - o, o2 = rowAt(w, d, n2) - o, o3 = rowAt(w, d, n3) - o;
    let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0;
    for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
      let c0: v128, c1: v128, c2: v128, c3: v128;
      // The first products are the sums so far: nothing to add them to.
      if (wide) {
        c0 = dot8(o, p);
        c1 = dot8(o + o1, p);
        c2 = dot8(o + o2, p);
        c3 = dot8(o + o3, p);
        o += 32;
        p += 64;
        for (let j = 32; j < block; j += 32, o += 32, p += 64) {
          c0 = i32x4.add(c0, dot8(o, p));
          c1 = i32x4.add(c1, dot8(o + o1, p));
          c2 = i32x4.add(c2, dot8(o + o2, p));
          c3 = i32x4.add(c3, dot8(o + o3, p));
        }
      } else {
        c0 = dot4(v128.load(o), p, nibbles);
        c1 = dot4(v128.load(o + o1), p, nibbles);
        c2 = dot4(v128.load(o + o2), p, nibbles);
        c3 = dot4(v128.load(o + o3), p, nibbles);
        o += 16;
        p += 64;
        for (let j = 32; j < block; j += 32, o += 16, p += 64) {
          c0 = i32x4.add(c0, dot4(v128.load(o), p, nibbles));
          c1 = i32x4.add(c1, dot4(v128.load(o + o1), p, nibbles));
          c2 = i32x4.add(c2, dot4(v128.load(o + o2), p, nibbles));
          c3 = i32x4.add(c3, dot4(v128.load(o + o3), p, nibbles));
        }
      }
      f0 = add(f0, c0, s0 + b);
      f1 = add(f1, c1, s1 + b);
      f2 = add(f2, c2, s2 + b);
      f3 = add(f3, c3, s3 + b);
    }
    const out = y - (<usize>begin << 2);
    store<f32>(out + (<usize>n << 2), total(f0) + t0);
    store<f32>(out + (<usize>n1 << 2), total(f1) + t1);
    store<f32>(out + (<usize>n2 << 2), total(f2) + t2);
    store<f32>(out + (<usize>n3 << 2), total(f3) + t3);
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
    const t = rowTerms(w, d, n, block, blocks, steps, sums, scratch, scratch + run, 0);
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
