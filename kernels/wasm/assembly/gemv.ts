// y = W . x for one row of x in 16-bit integers; codes are widened in registers, four rows of W at a time.
import {rowAt, rowCodes} from './codes';
import {raisedTable} from './fours';
import {BITS0, DECODE, IN_DIM, LOW_NIBBLES, TABLE, TABLE_FACTOR, TABLE_LOWEST, field} from './layout';
import {fourTerms, inHalves, rowTerms, storeResults} from './terms';
import {fma, looked, total} from './vectors';

// Codes come out of 16-bit lanes of W as they lie in them, and x is in that order (see prepare.ts): to widen bytes side by side takes more instructions.

/** 16 bytes whose even ones meet x, the odd ones x1. */
// @ts-ignore: decorator
@inline
function bytes(v: v128, x: v128, x1: v128, byte: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(v128.and(v, byte), x), i32x4.dot_i16x8_s(i16x8.shr_u(v, 8), x1));
}

/** 32 codes of 8 bits at o: of each 16 the even columns come first. */
// @ts-ignore: decorator
@inline
function eights(o: usize, x: v128, x1: v128, x2: v128, x3: v128, byte: v128): v128 {
  return i32x4.add(bytes(v128.load(o), x, x1, byte), bytes(v128.load(o, 16), x2, x3, byte));
}

/** 32 codes of 4 bits: columns 0 4 8 .. meet x, 1 5 9 .. x1, 2 6 10 .. x2, 3 7 11 .. x3. */
// @ts-ignore: decorator
@inline
function nibbles(v: v128, x: v128, x1: v128, x2: v128, x3: v128, four: v128): v128 {
  return i32x4.add(
    i32x4.add(i32x4.dot_i16x8_s(v128.and(v, four), x), i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(v, 4), four), x1)),
    i32x4.add(i32x4.dot_i16x8_s(v128.and(i16x8.shr_u(v, 8), four), x2), i32x4.dot_i16x8_s(i16x8.shr_u(v, 12), x3)));
}

/** The same through a table of bytes. fours: 15 in each byte. */
// @ts-ignore: decorator
@inline
function tabled(v: v128, x: v128, x1: v128, x2: v128, x3: v128, fours: v128, byte: v128, table: v128): v128 {
  return i32x4.add(bytes(looked(table, v128.and(v, fours)), x, x2, byte), bytes(looked(table, v128.and(i16x8.shr_u(v, 4), fours)), x1, x3, byte));
}

// @ts-ignore: decorator
@inline
function add(f: v128, s: v128, scale: usize): v128 {
  return fma(f, f32x4.convert_i32x4_s(s), v128.load32_splat(scale));
}

/**
 * Rows begin..end of W (one plane of 4 or 8 bits: integer codes, or 4 bits of a table of small integers; block a multiple of 32) times one prepared
 * row of x. scratch: 5 runs of blocks + 4 float32, and 16. y[0] is row `begin`.
 */
export function gemv(w: usize, d: usize, a: usize, steps: usize, sums: usize, block: i32, blocks: i32, begin: i32, end: i32, y: usize, scratch: usize): void {
  const run = <usize>((blocks + 7) & ~3) << 2, wide = field(d, BITS0) == 8, hasTable = field(d, DECODE) == 6;
  const fours = v128.load(d + LOW_NIBBLES), four = i16x8.shr_u(i16x8.shl(fours, 8), 8), byte = v128.or(four, i16x8.shl(four, 4));
  const table = hasTable ? raisedTable(d) : fours, factor: f32 = hasTable ? load<f32>(d + TABLE_FACTOR) : 1;
  // A table's numbers are raised to 0 and more: what that adds, times the factor, goes off as a zero does.
  const zero: f32 = hasTable ? -<f32>field(d, TABLE_LOWEST) * factor : 0;
  const s0 = scratch, s1 = s0 + run, s2 = s1 + run, s3 = s2 + run, extra = s3 + run;
  // Rows a quarter of W apart: each quarter is read from end to end, which is what a processor fetches ahead. Past the last, the last again.
  const quarter = (end - begin + 3) >> 2, last = end - 1, kind = inHalves(w, d, begin, block), terms = extra + run;
  for (let n = begin; n < begin + quarter; n++) {
    const n1 = min(n + quarter, last), n2 = min(n + 2 * quarter, last), n3 = min(n + 3 * quarter, last);
    fourTerms(kind, w, d, n, n1, n2, n3, block, blocks, steps, sums, s0, run, extra, zero, terms);
    let o = rowAt(w, d, n), p = a;
    const o1 = rowAt(w, d, n1) - o, o2 = rowAt(w, d, n2) - o, o3 = rowAt(w, d, n3) - o;
    let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0;
    for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
      // Code that adds to nothing costs less than the adding, and most blocks are one run.
      let c0: v128, c1: v128, c2: v128, c3: v128, x0 = v128.load(p), x1 = v128.load(p, 16), x2 = v128.load(p, 32), x3 = v128.load(p, 48);
      const stop = p + (<usize>block << 1);
      if (wide) {
        c0 = eights(o, x0, x1, x2, x3, byte);
        c1 = eights(o + o1, x0, x1, x2, x3, byte);
        c2 = eights(o + o2, x0, x1, x2, x3, byte);
        c3 = eights(o + o3, x0, x1, x2, x3, byte);
        o += 32;
        for (p += 64; p < stop; p += 64, o += 32) {
          x0 = v128.load(p); x1 = v128.load(p, 16); x2 = v128.load(p, 32); x3 = v128.load(p, 48);
          c0 = i32x4.add(c0, eights(o, x0, x1, x2, x3, byte));
          c1 = i32x4.add(c1, eights(o + o1, x0, x1, x2, x3, byte));
          c2 = i32x4.add(c2, eights(o + o2, x0, x1, x2, x3, byte));
          c3 = i32x4.add(c3, eights(o + o3, x0, x1, x2, x3, byte));
        }
      } else if (hasTable) {
        c0 = tabled(v128.load(o), x0, x1, x2, x3, fours, byte, table);
        c1 = tabled(v128.load(o + o1), x0, x1, x2, x3, fours, byte, table);
        c2 = tabled(v128.load(o + o2), x0, x1, x2, x3, fours, byte, table);
        c3 = tabled(v128.load(o + o3), x0, x1, x2, x3, fours, byte, table);
        o += 16;
        for (p += 64; p < stop; p += 64, o += 16) {
          x0 = v128.load(p); x1 = v128.load(p, 16); x2 = v128.load(p, 32); x3 = v128.load(p, 48);
          c0 = i32x4.add(c0, tabled(v128.load(o), x0, x1, x2, x3, fours, byte, table));
          c1 = i32x4.add(c1, tabled(v128.load(o + o1), x0, x1, x2, x3, fours, byte, table));
          c2 = i32x4.add(c2, tabled(v128.load(o + o2), x0, x1, x2, x3, fours, byte, table));
          c3 = i32x4.add(c3, tabled(v128.load(o + o3), x0, x1, x2, x3, fours, byte, table));
        }
      } else {
        c0 = nibbles(v128.load(o), x0, x1, x2, x3, four);
        c1 = nibbles(v128.load(o + o1), x0, x1, x2, x3, four);
        c2 = nibbles(v128.load(o + o2), x0, x1, x2, x3, four);
        c3 = nibbles(v128.load(o + o3), x0, x1, x2, x3, four);
        o += 16;
        for (p += 64; p < stop; p += 64, o += 16) {
          x0 = v128.load(p); x1 = v128.load(p, 16); x2 = v128.load(p, 32); x3 = v128.load(p, 48);
          c0 = i32x4.add(c0, nibbles(v128.load(o), x0, x1, x2, x3, four));
          c1 = i32x4.add(c1, nibbles(v128.load(o + o1), x0, x1, x2, x3, four));
          c2 = i32x4.add(c2, nibbles(v128.load(o + o2), x0, x1, x2, x3, four));
          c3 = i32x4.add(c3, nibbles(v128.load(o + o3), x0, x1, x2, x3, four));
        }
      }
      f0 = add(f0, c0, s0 + b);
      f1 = add(f1, c1, s1 + b);
      f2 = add(f2, c2, s2 + b);
      f3 = add(f3, c3, s3 + b);
    }
    const out = y - (<usize>begin << 2);
    const v = f32x4.splat(factor);
    storeResults(f0, f1, v, terms, out, n, n1);
    storeResults(f2, f3, v, terms + 32, out, n2, n3);
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
      for (let k = 0; k < inDim; k += 16) v128.store(bytes + <usize>k, looked(table, v128.load(bytes + <usize>k)));
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
