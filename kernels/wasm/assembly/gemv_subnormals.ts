// y = W . x for one row of x as it is and e4m3 codes many of which are subnormal, as of weights that were cast without a scale. As float32 subnormals
// they would cost some hundred products each on many CPUs; here they get exponents of their own, three below the others'.
import {blockScales} from './blocks';
import {rowAt} from './codes';
import {HIGH_HALVES, IN_DIM, LOW_NIBBLES, SCALES, TABLE_FACTOR, field, kept, unknownZeros} from './layout';
import {RUN, fma, looked, total64, widen} from './vectors';

// @ts-ignore: decorator
@inline
function marked(found: v128, o: usize, most: v128, one: v128, seven: v128): v128 {
  return v128.or(found, i8x16.lt_u(i8x16.sub(v128.and(v128.load(o), most), one), seven));
}

/** Whether any of four rows has some, by a look at their first columns. */
export function hasSubnormals(w: usize, d: usize, n: i32, n1: i32, n2: i32, n3: i32): bool {
  const zeros = unknownZeros(d), most = kept(zeros, 0x7f7f7f7f), one = kept(zeros, 0x01010101), seven = kept(zeros, 0x07070707);
  let found = i8x16.splat(0), o = rowAt(w, d, n);
  const o1 = rowAt(w, d, n1) - o, o2 = rowAt(w, d, n2) - o, o3 = rowAt(w, d, n3) - o;
  for (const end = o + <usize>min(256, field(d, IN_DIM)); o < end; o += 16) {
    found = marked(found, o, most, one, seven);
    found = marked(found, o + o1, most, one, seven);
    found = marked(found, o + o2, most, one, seven);
    found = marked(found, o + o3, most, one, seven);
  }
  return v128.any_true(found);
}

/** Row n times x as `prepareFloats` left it in lanes of 4. scales: blocks + 4 float32, filled here where W has scales. */
export function subnormalRow(w: usize, d: usize, n: i32, x: usize, block: i32, blocks: i32, scales: usize): f32 {
  if (field(d, SCALES) > 0) blockScales(w, d, n, block, blocks, scales);
  // None of them a constant, which would be built anew in each iteration.
  const nibbles = v128.load(d + LOW_NIBBLES), all = i8x16.eq(nibbles, nibbles), eight = v128.xor(nibbles, i8x16.shr_u(nibbles, 1));
  const most = i8x16.shr_u(all, 1), byte = i16x8.shr_u(all, 8), middle = i16x8.shl(byte, 4), top = i16x8.shl(all, 15), high = v128.load(d + HIGH_HALVES);
  // How far codes 0, 1, 2 .. move up: from the eighth on three exponents.
  const places = v128.or(unknownZeros(d), i8x16(0, 7, 14, 17, 20, 21, 22, 23, 24, 24, 24, 24, 24, 24, 24, 24));
  const end = scales + (<usize>blocks << 2), runBytes = <usize>max(1, RUN / block) << 2;
  let o = rowAt(w, d, n), p = x, total = f64x2.splat(0);
  while (scales < end) {
    const until = min(end, scales + runBytes);
    let sum = f32x4.splat(0);
    for (; scales < until; scales += 4) {
      // In the order of `quad`: a row comes out the same whether or not others beside it are why it is here.
      let f = f32x4.splat(0);
      for (const stop = o + <usize>block; o < stop; o += 16, p += 64) {
        const v = v128.load(o), c = v128.and(v, most), i = i8x16.min_u(c, eight);
        const r = i8x16.add(c, looked(places, i));
        const even = v128.or(i16x8.shl(v128.and(r, byte), 4), v128.and(i16x8.shl(v, 8), top));
        const odd = v128.or(v128.and(i16x8.shr_u(r, 4), middle), v128.and(v, top));
        const e = fma(f32x4.mul(i32x4.shl(even, 16), v128.load(p)), v128.and(even, high), v128.load(p, 16));
        f = f32x4.add(f, fma(fma(e, i32x4.shl(odd, 16), v128.load(p, 32)), v128.and(odd, high), v128.load(p, 48)));
      }
      sum = fma(sum, f, v128.load32_splat(scales));
    }
    total = widen(total, sum);
  }
  return <f32>(total64(total) * <f64>load<f32>(d + TABLE_FACTOR) * 0.125);
}
