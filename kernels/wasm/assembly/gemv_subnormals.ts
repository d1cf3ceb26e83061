// y = W . x for one row of x as it is and e4m3 codes many of which are subnormal, as of weights that were cast without a scale. As float32 subnormals
// they would cost some hundred products each on many CPUs; here they get exponents of their own, three below the others'.
import {blockScales} from './blocks';
import {rowAt} from './codes';
import {IN_DIM, LOW_NIBBLES, SCALES, TABLE_FACTOR, field, kept, unknownZeros} from './layout';
import {LONG_RUN, fma, looked} from './vectors';

/** From the least magnitude on: 0 is the subnormal 1, the zero 255. */
// @ts-ignore: decorator
@inline
function place(o: usize, most: v128, one: v128): v128 {
  return i8x16.sub(v128.and(v128.load(o), most), one);
}

/**
 * Whether four rows have many, by a look at their first columns. One takes some 160 cycles on Intel, the other decoding of these rows as long as one
 * code in 300 does: two of 512.
 */
export function hasSubnormals(w: usize, d: usize, n: i32, n1: i32, n2: i32, n3: i32): bool {
  const zeros = unknownZeros(d), most = kept(zeros, 0x7f7f7f7f), one = kept(zeros, 0x01010101), seven = kept(zeros, 0x07070707);
  let count = i8x16.splat(0), o = rowAt(w, d, n);
  const o1 = rowAt(w, d, n1) - o, o2 = rowAt(w, d, n2) - o, o3 = rowAt(w, d, n3) - o;
  for (const end = o + <usize>min(128, field(d, IN_DIM)); o < end; o += 16) {
    // Of the four in a column one counts.
    const least = i8x16.min_u(i8x16.min_u(place(o, most, one), place(o + o1, most, one)), i8x16.min_u(place(o + o2, most, one), place(o + o3, most, one)));
    count = i8x16.sub(count, i8x16.lt_u(least, seven));
  }
  const sums = i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(count));
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3) > 1;
}

/** v with subnormal codes moved to exponents of their own; `even` and `odd` take their bytes with the signs of v. */
// @ts-ignore: decorator
@inline
function raised(v: v128, most: v128, eighth: v128, places: v128): v128 {
  const c = v128.and(v, most);
  return i8x16.add(c, looked(places, i8x16.min_u(c, eighth)));
}

// @ts-ignore: decorator
@inline
function even(v: v128, r: v128, byte: v128, top: v128): v128 {
  return v128.or(i16x8.shl(v128.and(r, byte), 4), v128.and(i16x8.shl(v, 8), top));
}

// @ts-ignore: decorator
@inline
function odd(v: v128, r: v128, middle: v128, top: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(r, 4), middle), v128.and(v, top));
}

/** f + products of the bfloat16 in the lower halves of 32-bit lanes, or in the upper ones. */
// @ts-ignore: decorator
@inline
function lower(f: v128, v: v128, x: v128): v128 {
  return fma(f, i32x4.shl(v, 16), x);
}

// @ts-ignore: decorator
@inline
function upper(f: v128, v: v128, high: v128, x: v128): v128 {
  return fma(f, v128.and(v, high), x);
}

/** Sums are added in the order of `quad`: a row comes out the same whether or not others beside it are why it is here. */
// @ts-ignore: decorator
@inline
function total(v: v128): f64 {
  return <f64>(f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 2) + (f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 3)));
}

/** Rows n and n1 times x as `prepareFloats` left it in lanes of 4, to y and y1. scales: 2 runs of blocks + 4 float32, filled here where W has scales. */
export function subnormalPair(w: usize, d: usize, n: i32, n1: i32, x: usize, block: i32, blocks: i32, scales: usize, y: usize, y1: usize): void {
  const run = <usize>(blocks + 4) << 2;
  if (field(d, SCALES) > 0) {
    blockScales(w, d, n, block, blocks, scales);
    blockScales(w, d, n1, block, blocks, scales + run);
  }
  // None of them a constant, which would be built anew in each iteration.
  const nibbles = v128.load(d + LOW_NIBBLES), all = i8x16.eq(nibbles, nibbles), eighth = v128.xor(nibbles, i8x16.shr_u(nibbles, 1));
  const most = i8x16.shr_u(all, 1), byte = i16x8.shr_u(all, 8), middle = i16x8.shl(byte, 4), top = i16x8.shl(all, 15), zeros = unknownZeros(d);
  // How far codes 0, 1, 2 .. move up: from the eighth on three exponents.
  const high = i32x4.shl(all, 16), places = v128.or(zeros, i8x16(0, 7, 14, 17, 20, 21, 22, 23, 24, 24, 24, 24, 24, 24, 24, 24));
  const end = scales + (<usize>blocks << 2), runBytes = <usize>max(1, LONG_RUN / block) << 2, apart = rowAt(w, d, n1) - rowAt(w, d, n);
  // As in `quad`: one sum of a block, or two.
  const one = ASC_FEATURE_RELAXED_SIMD && block == 32;
  let o = rowAt(w, d, n), p = x, a: f64 = 0, b: f64 = 0;
  while (scales < end) {
    const until = min(end, scales + runBytes);
    let sum = f32x4.splat(0), sum1 = sum;
    for (; scales < until; scales += 4) {
      let f = f32x4.splat(0), g = f, h = f, i = f;
      for (const stop = o + <usize>block; o < stop; o += 16, p += 64) {
        const t = v128.load(p), t1 = v128.load(p, 16), t2 = v128.load(p, 32), t3 = v128.load(p, 48);
        const v = v128.load(o), v1 = v128.load(o + apart), r = raised(v, most, eighth, places), r1 = raised(v1, most, eighth, places);
        const e = even(v, r, byte, top), e1 = even(v1, r1, byte, top), u = odd(v, r, middle, top), u1 = odd(v1, r1, middle, top);
        f = lower(f, e, t);
        g = lower(g, e1, t);
        if (one) {
          f = upper(lower(upper(f, e, high, t1), u, t2), u, high, t3);
          g = upper(lower(upper(g, e1, high, t1), u1, t2), u1, high, t3);
        } else {
          f = lower(f, u, t2);
          g = lower(g, u1, t2);
          h = upper(upper(h, e, high, t1), u, high, t3);
          i = upper(upper(i, e1, high, t1), u1, high, t3);
        }
      }
      if (!one) {
        f = f32x4.add(f, h);
        g = f32x4.add(g, i);
      }
      sum = fma(sum, f, v128.load32_splat(scales));
      sum1 = fma(sum1, g, v128.load32_splat(scales + run));
    }
    a += total(sum);
    b += total(sum1);
  }
  const factor = <f64>load<f32>(d + TABLE_FACTOR) * 0.125;
  store<f32>(y, <f32>(a * factor));
  store<f32>(y1, <f32>(b * factor));
}
