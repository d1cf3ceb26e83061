// Y = X . W^T with x as it is, every layout: 16 rows of W are expanded to a panel of float32, eight beside eight, which packs of six rows of x meet.
import {rowFloats} from './expand';
import {IN_DIM, field} from './layout';
import {PANEL} from './panels';
import {RUN, fma, total, transpose} from './vectors';

/** Bytes from the first eight rows of a panel to the other eight. */
const HALF: usize = PANEL >> 1;

/**
 * `count` rows of x (float32 [count, K]) in stored order, `rows` of them side by side: a column of all and then the next. Rows that are not there are
 * the last one again. order: 0 or uint32 [K].
 */
export function packFloats(x: usize, order: usize, inDim: i32, count: i32, rows: i32, out: usize): void {
  const step = <usize>rows << 2, rowBytes = <usize>inDim << 2;
  for (let r = 0; r < rows; r++) {
    const row = x + <usize>min(r, count - 1) * rowBytes;
    let o = out + (<usize>r << 2);
    for (let k: usize = 0; k < <usize>inDim; k++, o += step) {
      store<f32>(o, load<f32>(row + (<usize>(order == 0 ? <u32>k : load<u32>(order + (k << 2))) << 2)));
    }
  }
}

/** One row of W times one row of x. */
function dotRow(w: usize, x: usize, inDim: i32): f32 {
  let sum: f64 = 0, k = 0;
  while (k + 8 <= inDim) {
    const end = min(inDim & ~7, k + RUN);
    let f0 = f32x4.splat(0), f1 = f0;
    for (; k < end; k += 8) {
      const at = <usize>k << 2;
      f0 = fma(f0, v128.load(w + at), v128.load(x + at));
      f1 = fma(f1, v128.load(w + at, 16), v128.load(x + at, 16));
    }
    sum += total(f32x4.add(f0, f1));
  }
  for (; k < inDim; k++) sum += <f64>load<f32>(w + (<usize>k << 2)) * <f64>load<f32>(x + (<usize>k << 2));
  return <f32>sum;
}

/** `columns` of four rows of float32 into a quarter of a panel: of a half's columns, which are 32 bytes apart. */
function packQuarter(p0: usize, p1: usize, p2: usize, p3: usize, columns: usize, out: usize): void {
  let k: usize = 0;
  for (const stop = (columns & ~3) << 2; k < stop; k += 16, out += 128) {
    transpose(v128.load(p0 + k), v128.load(p1 + k), v128.load(p2 + k), v128.load(p3 + k), out, 32);
  }
  for (const stop = columns << 2; k < stop; k += 4, out += 32) {
    store<f32>(out, load<f32>(p0 + k));
    store<f32>(out, load<f32>(p1 + k), 4);
    store<f32>(out, load<f32>(p2 + k), 8);
    store<f32>(out, load<f32>(p3 + k), 12);
  }
}

/** Eight float64 sums at t += a float32 each. */
// @ts-ignore: decorator
@inline
function widened(t: usize, f: v128, g: v128): void {
  v128.store(t, f64x2.add(v128.load(t), f64x2.promote_low_f32x4(f)));
  v128.store(t, f64x2.add(v128.load(t, 16), f64x2.promote_low_f32x4(i64x2.shuffle(f, f, 1, 0))), 16);
  v128.store(t, f64x2.add(v128.load(t, 32), f64x2.promote_low_f32x4(g)), 32);
  v128.store(t, f64x2.add(v128.load(t, 48), f64x2.promote_low_f32x4(i64x2.shuffle(g, g, 1, 0))), 48);
}

/**
 * `columns` of one half of a panel and a pack x, of which six rows are there or four: t float64, rows 16 apart, += their products. Two products start in a
 * cycle of x86 and take four, so that eight sums are the fewest that keep it busy, and twelve do. One column an iteration, see tile.ts.
 */
// @ts-ignore: decorator
@inline
function half(six: bool, p: usize, x: usize, columns: usize, t: usize): void {
  const stop = p + (columns << 5);
  while (p < stop) {
    let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, e0 = a0, e1 = a0, f0 = a0, f1 = a0, g0 = a0, g1 = a0;
    for (const end = min(stop, p + (<usize>RUN << 5)); p < end; p += 32, x += 24) {
      const q0 = v128.load(p), q1 = v128.load(p, 16);
      let u = v128.load32_splat(x);
      a0 = fma(a0, u, q0); a1 = fma(a1, u, q1);
      u = v128.load32_splat(x, 4);
      b0 = fma(b0, u, q0); b1 = fma(b1, u, q1);
      u = v128.load32_splat(x, 8);
      c0 = fma(c0, u, q0); c1 = fma(c1, u, q1);
      u = v128.load32_splat(x, 12);
      e0 = fma(e0, u, q0); e1 = fma(e1, u, q1);
      if (six) {
        u = v128.load32_splat(x, 16);
        f0 = fma(f0, u, q0); f1 = fma(f1, u, q1);
        u = v128.load32_splat(x, 20);
        g0 = fma(g0, u, q0); g1 = fma(g1, u, q1);
      }
    }
    widened(t, a0, a1); widened(t + 128, b0, b1); widened(t + 256, c0, c1); widened(t + 384, e0, e1);
    if (six) {
      widened(t + 512, f0, f1); widened(t + 640, g0, g1);
    }
  }
}

/** Both halves of a panel and two rows of a pack. */
function two(p: usize, x: usize, columns: usize, t: usize): void {
  const stop = p + (columns << 5);
  while (p < stop) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (const end = min(stop, p + (<usize>RUN << 5)); p < end; p += 32, x += 24) {
      const u = v128.load32_splat(x), v = v128.load32_splat(x, 4);
      let q = v128.load(p);
      a0 = fma(a0, u, q); b0 = fma(b0, v, q);
      q = v128.load(p, 16);
      a1 = fma(a1, u, q); b1 = fma(b1, v, q);
      q = v128.load(p, HALF);
      a2 = fma(a2, u, q); b2 = fma(b2, v, q);
      q = v128.load(p, HALF + 16);
      a3 = fma(a3, u, q); b3 = fma(b3, v, q);
    }
    widened(t, a0, a1); widened(t + 64, a2, a3); widened(t + 128, b0, b1); widened(t + 192, b2, b3);
  }
}

/** A panel and a pack of which `rows` are there. */
function tile(rows: i32, p: usize, x: usize, columns: usize, t: usize): void {
  if (rows <= 2) {
    two(p, x, columns, t);
    return;
  }
  for (const end = p + PANEL; p < end; p += HALF, t += 64) {
    if (rows > 4) half(true, p, x, columns, t);
    else half(false, p, x, columns, t);
  }
}

/**
 * Rows begin..end of W times `rows` (at most 128) rows of x, in packs of six as packFloats makes them, or one. y [rows, yStride], row `begin` of W in column 0.
 * scratch: 32 KiB, 16 rows of K + 16 float32 and K rounded up to 32 bytes.
 */
export function gemmFloats(w: usize, d: usize, x: usize, rows: i32, begin: i32, end: i32, y: usize, yStride: i32, scratch: usize): void {
  // Rows are not a power of two apart, which would lie in the same lines of a cache.
  const inDim = field(d, IN_DIM), rowBytes = <usize>inDim << 2, apart = rowBytes + 64, together = PANEL >> 6;
  const panel = scratch + 16384, floats = panel + PANEL, bytes = floats + 16 * apart;
  if (rows == 1) {
    for (let n = begin; n < end; n++, y += 4) {
      rowFloats(w, d, n, floats, bytes);
      store<f32>(y, dotRow(floats, x, inDim));
    }
    return;
  }
  for (let n = begin; n < end; n += 16) {
    const count = min(16, end - n), last = count - 1;
    for (let r = 0; r < count; r++) rowFloats(w, d, n + r, floats + <usize>r * apart, bytes);
    memory.fill(scratch, 0, <usize>((rows + 1) & ~1) << 7);
    for (let k: usize = 0; k < <usize>inDim; k += together) {
      const columns = min(together, <usize>inDim - k), from = floats + (k << 2);
      for (let r = 0; r < count; r += 4) {
        const p1 = <usize>min(r + 1, last) * apart, p2 = <usize>min(r + 2, last) * apart, p3 = <usize>min(r + 3, last) * apart;
        packQuarter(from + <usize>r * apart, from + p1, from + p2, from + p3, columns, panel + (r & 8 ? HALF : 0) + (<usize>(r & 4) << 2));
      }
      for (let m = 0, t = scratch, pack = x + 24 * k; m < rows; m += 6, t += 768, pack += 6 * rowBytes) tile(rows - m, panel, pack, columns, t);
    }
    for (let m = 0; m < rows; m++) {
      const out = y + (<usize>(m * yStride + n - begin) << 2), t = scratch + (<usize>m << 7);
      for (let r: usize = 0; r < <usize>count; r++) store<f32>(out + (r << 2), <f32>load<f64>(t + (r << 3)));
    }
  }
}
