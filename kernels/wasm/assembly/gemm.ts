// Y = X . W^T for several rows of x in 16-bit integers: four rows of W are widened to scratch once and meet every row of x.
import {rowIntegers} from './expand';
import {DECODE, IN_DIM, OFFSETS, TABLE_FACTOR, field} from './layout';
import {blockOffsets, blockScales} from './blocks';
import {fma, total} from './vectors';

// @ts-ignore: decorator
@inline
function add(f: v128, s: v128, scale: v128): v128 {
  return fma(f, f32x4.convert_i32x4_s(s), scale);
}

// @ts-ignore: decorator
@inline
function dot(q: v128, x: v128, c: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(q, x));
}

/** Offsets of one row times the sums of one row of x. */
function offsetTerm(offsets: usize, sums: usize, blocks: i32): f32 {
  let sum = f32x4.splat(0), b = 0;
  for (; b + 4 <= blocks; b += 4) sum = f32x4.add(sum, f32x4.mul(v128.load(offsets + (<usize>b << 2)), v128.load(sums + (<usize>b << 2))));
  let t = total(sum);
  for (; b < blocks; b++) t += load<f32>(offsets + (<usize>b << 2)) * load<f32>(sums + (<usize>b << 2));
  return t;
}

/** One row of W (16-bit) times one row of x. */
function dotRow(q: usize, scales: usize, x: usize, steps: usize, block: i32, blocks: i32): f32 {
  let f = f32x4.splat(0);
  for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
    let c = i32x4.splat(0);
    for (let j = 0; j < block; j += 8, q += 16, x += 16) c = dot(v128.load(q), v128.load(x), c);
    f = add(f, c, f32x4.mul(v128.load32_splat(scales + b), v128.load32_splat(steps + b)));
  }
  return total(f);
}

/**
 * Rows begin..end of W times `rows` prepared rows of x (plain order). K and block are multiples of 16.
 * a int16 [rows, K], steps and sums float32 [rows, stride]. y [rows, yStride] with row `begin` of W in column 0.
 * scratch: 4 rows of K int16, K rounded up to 32 bytes, 8 runs of blocks + 4 float32.
 */
export function gemm(
  w: usize, d: usize, a: usize, steps: usize, sums: usize, stride: i32, rows: i32, block: i32, blocks: i32,
  begin: i32, end: i32, y: usize, yStride: i32, scratch: usize,
): void {
  const inDim = field(d, IN_DIM), rowBytes = <usize>inDim << 1, run = <usize>(blocks + 4) << 2, xStride = <usize>stride << 2;
  const bytes = scratch + 4 * rowBytes, s0 = bytes + <usize>((inDim + 31) & ~31), o0 = s0 + 4 * run;
  const hasOffset = field(d, OFFSETS) > 0, factor: f32 = field(d, DECODE) == 6 ? load<f32>(d + TABLE_FACTOR) : 1;
  for (let n = begin; n < end; n += 4) {
    const count = min(4, end - n);
    for (let r = 0; r < count; r++) {
      rowIntegers(w, d, n + r, scratch + <usize>r * rowBytes, bytes);
      const s = s0 + <usize>r * run;
      blockScales(w, d, n + r, block, blocks, s);
      if (factor != 1) for (let b = 0; b < blocks; b++) store<f32>(s + (<usize>b << 2), load<f32>(s + (<usize>b << 2)) * factor);
      if (hasOffset) blockOffsets(w, d, n + r, block, blocks, o0 + <usize>r * run);
    }
    let m = 0;
    if (count == 4) {
      for (; m + 2 <= rows; m += 2) {
        let q = scratch, x = a + <usize>m * rowBytes;
        const e = steps + <usize>m * xStride, out = y + (<usize>(m * yStride + n - begin) << 2);
        let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0, g0 = f0, g1 = f0, g2 = f0, g3 = f0;
        for (let b: usize = 0; b < <usize>blocks << 2; b += 4) {
          // The first products are the sums so far: nothing to add them to.
          const u = v128.load(x), v = v128.load(x + rowBytes);
          let t = v128.load(q), c0 = i32x4.dot_i16x8_s(t, u), e0 = i32x4.dot_i16x8_s(t, v);
          t = v128.load(q + rowBytes);
          let c1 = i32x4.dot_i16x8_s(t, u), e1 = i32x4.dot_i16x8_s(t, v);
          t = v128.load(q + 2 * rowBytes);
          let c2 = i32x4.dot_i16x8_s(t, u), e2 = i32x4.dot_i16x8_s(t, v);
          t = v128.load(q + 3 * rowBytes);
          let c3 = i32x4.dot_i16x8_s(t, u), e3 = i32x4.dot_i16x8_s(t, v);
          q += 16;
          x += 16;
          for (let j = 8; j < block; j += 8, q += 16, x += 16) {
            const u = v128.load(x), v = v128.load(x + rowBytes);
            let t = v128.load(q);
            c0 = dot(t, u, c0); e0 = dot(t, v, e0);
            t = v128.load(q + rowBytes);
            c1 = dot(t, u, c1); e1 = dot(t, v, e1);
            t = v128.load(q + 2 * rowBytes);
            c2 = dot(t, u, c2); e2 = dot(t, v, e2);
            t = v128.load(q + 3 * rowBytes);
            c3 = dot(t, u, c3); e3 = dot(t, v, e3);
          }
          const h0 = v128.load32_splat(e + b), h1 = v128.load32_splat(e + xStride + b);
          let s = v128.load32_splat(s0 + b);
          f0 = add(f0, c0, f32x4.mul(s, h0)); g0 = add(g0, e0, f32x4.mul(s, h1));
          s = v128.load32_splat(s0 + run + b);
          f1 = add(f1, c1, f32x4.mul(s, h0)); g1 = add(g1, e1, f32x4.mul(s, h1));
          s = v128.load32_splat(s0 + 2 * run + b);
          f2 = add(f2, c2, f32x4.mul(s, h0)); g2 = add(g2, e2, f32x4.mul(s, h1));
          s = v128.load32_splat(s0 + 3 * run + b);
          f3 = add(f3, c3, f32x4.mul(s, h0)); g3 = add(g3, e3, f32x4.mul(s, h1));
        }
        const out1 = out + (<usize>yStride << 2);
        store<f32>(out, total(f0)); store<f32>(out, total(f1), 4); store<f32>(out, total(f2), 8); store<f32>(out, total(f3), 12);
        store<f32>(out1, total(g0)); store<f32>(out1, total(g1), 4); store<f32>(out1, total(g2), 8); store<f32>(out1, total(g3), 12);
      }
    }
    for (let r = 0; r < count; r++) {
      for (let i = m; i < rows; i++) {
        const v = dotRow(scratch + <usize>r * rowBytes, s0 + <usize>r * run, a + <usize>i * rowBytes, steps + <usize>i * xStride, block, blocks);
        store<f32>(y + (<usize>(i * yStride + n + r - begin) << 2), v);
      }
      if (hasOffset) {
        for (let i = 0; i < rows; i++) {
          const at = y + (<usize>(i * yStride + n + r - begin) << 2);
          store<f32>(at, load<f32>(at) + offsetTerm(o0 + <usize>r * run, sums + <usize>i * xStride, blocks));
        }
      }
    }
  }
}
