// One row of W as float32 (exact, every layout) or as 16-bit integers without scale (integer codes and integer tables).
import {blockScales} from './blocks';
import {rowAt, rowCodes} from './codes';
import {
  BITS0, DECODE, DIVIDE0, GRID_COLUMNS, GRID_COLUMN_PHASE, GRID_INDEXED, HALF_FLOATS, IN_DIM, OFFSETS, ORDER, SCALE0, SCALES, SMALL_FLOATS, TABLE, TABLE_FACTOR, ZERO_KIND, ZERO_VALUE, field, kept, unknownZeros,
  wordsAt,
} from './layout';
import {halfToFloat, offsetAt, scaleAt, segmentEnd, zeroAt} from './levels';
import {BIAS, EDGE, MAGNITUDE, TOP, halves, ordinary} from './vectors';

// @ts-ignore: decorator
@inline
function storeFloats(o: usize, bytes: v128): void {
  const lo = i16x8.extend_low_i8x16_u(bytes), hi = i16x8.extend_high_i8x16_u(bytes);
  v128.store(o, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(lo)));
  v128.store(o, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(lo)), 16);
  v128.store(o, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(hi)), 32);
  v128.store(o, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(hi)), 48);
}

/**
 * e4m3 codes, or fnuz ones, as float32, exact. Reading them from a table takes five times as long, and subnormals and NaN twice as long as others: eight
 * codes with none of them, nor a zero, are what they are in 16 bits.
 */
function smallFloats(p: usize, d: usize, inDim: i32, table: usize, out: usize): void {
  // What the exponent of a code lacks when its bits are read as a float32's: 120, or 119 of fnuz, whose NaN has the bits of -0.
  const shift = <i32>(load<u32>(d + TABLE_FACTOR) >> 23) - 67, edge = f32x4.splat(reinterpret<f32>((shift + 1) << 23)), bias = i16x8.splat(<i16>(shift << 7));
  const nanBits = i16x8.splat(shift == 120 ? 127 : 255), nanCode = i16x8.splat(shift == 120 ? 127 : 128), zeros = unknownZeros(d), small = v128.load(d + SMALL_FLOATS);
  const magnitude = kept(zeros, 0x07f007f0), least = kept(zeros, 0x00800080), most = kept(zeros, 0x07600760), nan = kept(zeros, 0x7fc07fc0);
  const end = p + <usize>inDim;
  for (; p + 8 <= end; p += 8, out += 32) {
    const v = v128.load8x8_s(p), moved = i16x8.shl(v, 4), m = v128.and(moved, magnitude);
    if (!v128.any_true(i16x8.sub_sat_u(i16x8.sub(m, least), most))) {
      const f = i16x8.add(v128.and(moved, small), bias);
      v128.store(out, i16x8.shuffle(zeros, f, 0, 8, 1, 9, 2, 10, 3, 11));
      v128.store(out, i16x8.shuffle(zeros, f, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    } else {
      const f = i16x8.add(m, bias), s = v128.or(v128.and(v, i16x8.splat(-0x8000)), v128.and(i16x8.eq(v128.and(v, nanBits), nanCode), nan));
      v128.store(out, v128.or(ordinary(i16x8.shuffle(zeros, f, 0, 8, 1, 9, 2, 10, 3, 11), edge), i16x8.shuffle(zeros, s, 0, 8, 1, 9, 2, 10, 3, 11)));
      v128.store(out, v128.or(ordinary(i16x8.shuffle(zeros, f, 4, 12, 5, 13, 6, 14, 7, 15), edge), i16x8.shuffle(zeros, s, 4, 12, 5, 13, 6, 14, 7, 15)), 16);
    }
  }
  for (; p < end; p++, out += 4) store<f32>(out, load<f32>(table + (<usize>load<u8>(p) << 2)));
}

/** float16 as float32, as many as are whole eights. Those without subnormals, zeros, infinities and NaN need a third of the steps. → how many */
function wholeHalves(p: usize, d: usize, inDim: i32, out: usize): i32 {
  const zeros = unknownZeros(d), magnitude = kept(zeros, MAGNITUDE), bias = kept(zeros, BIAS), edge = kept(zeros, EDGE), sign = kept(zeros, TOP);
  const bits = v128.load(d + HALF_FLOATS), all = kept(zeros, 0x7fff7fff), least = kept(zeros, 0x04000400), most = kept(zeros, 0x77ff77ff);
  const top = f32x4.splat(65536), inf = i32x4.splat(0x7f800000);
  let k = 0;
  for (; k + 8 <= inDim; k += 8, p += 16, out += 32) {
    if (!v128.any_true(i16x8.sub_sat_u(i16x8.sub(v128.and(v128.load(p), all), least), most))) {
      v128.store(out, i32x4.add(v128.and(i32x4.shl(v128.load16x4_s(p), 13), bits), bias));
      v128.store(out, i32x4.add(v128.and(i32x4.shl(v128.load16x4_s(p, 8), 13), bits), bias), 16);
    } else {
      for (let j: usize = 0; j < 2; j++) {
        const f = halves(p + (j << 3), magnitude, bias, edge, sign);
        v128.store(out + (j << 4), v128.bitselect(v128.or(f, inf), f, f32x4.ge(f32x4.abs(f), top)));
      }
    }
  }
  return k;
}

/** Row n's numbers, before zero and scale. `bytes` is scratch of K rounded up to 32. */
function rowNumbers(w: usize, d: usize, n: i32, out: usize, bytes: usize): void {
  const inDim = field(d, IN_DIM), decode = field(d, DECODE);
  if (decode == 1) {
    memory.copy(out, rowAt(w, d, n), <usize>inDim << 2);
    return;
  }
  if (decode == 2 || decode == 3) {
    let p = rowAt(w, d, n), k = 0;
    if (decode == 3) {
      for (; k + 4 <= inDim; k += 4, p += 8) v128.store(out + (<usize>k << 2), i32x4.shl(v128.load16x4_u(p), 16));
    } else {
      k = wholeHalves(p, d, inDim, out);
      p += <usize>k << 1;
    }
    for (; k < inDim; k++, p += 2) {
      const h = <u32>load<u16>(p);
      store<f32>(out + (<usize>k << 2), decode == 3 ? reinterpret<f32>(h << 16) : halfToFloat(h));
    }
    return;
  }
  if (decode == 0 && field(d, BITS0) > 8) {
    // A constant zero is taken off before the one rounding: 32-bit codes do not fit a float32.
    const wide = field(d, BITS0) == 32, zero = field(d, ZERO_KIND) == 1 ? <f64><u32>field(d, ZERO_VALUE) : 0;
    const p = rowAt(w, d, n);
    for (let k: usize = 0; k < <usize>inDim; k++) {
      const code = wide ? load<u32>(p + (k << 2)) : <u32>load<u16>(p + (k << 1));
      store<f32>(out + (k << 2), <f32>(<f64>code - zero));
    }
    return;
  }
  if (decode == 7) {
    smallFloats(rowAt(w, d, n), d, inDim, <usize>field(d, TABLE), out);
    return;
  }
  rowCodes(w, d, n, bytes);
  if (decode == 0) {
    let k = 0;
    for (; k + 16 <= inDim; k += 16) storeFloats(out + (<usize>k << 2), v128.load(bytes + <usize>k));
    for (; k < inDim; k++) store<f32>(out + (<usize>k << 2), <f32>load<u8>(bytes + <usize>k));
    return;
  }
  const table = <usize>field(d, TABLE);
  if (decode == 6) {
    const factor = load<f32>(d + TABLE_FACTOR);
    for (let k = 0; k < inDim; k++) store<f32>(out + (<usize>k << 2), <f32>load<i8>(table + load<u8>(bytes + <usize>k)) * factor);
    return;
  }
  for (let k = 0; k < inDim; k++) store<f32>(out + (<usize>k << 2), load<f32>(table + (<usize>load<u8>(bytes + <usize>k) << 2)));
}

/** Row n as float32 [K] in stored order: (number - zero) * scale + offset, each step rounded. */
export function rowFloats(w: usize, d: usize, n: i32, out: usize, bytes: usize): void {
  rowNumbers(w, d, n, out, bytes);
  const inDim = field(d, IN_DIM), hasScale = field(d, SCALES) > 0, hasOffset = field(d, OFFSETS) > 0, divide = field(d, DIVIDE0) != 0;
  const zeroLeft = field(d, ZERO_KIND) != 0 && !(field(d, BITS0) > 8 && field(d, ZERO_KIND) == 1);
  if (!hasScale && !hasOffset && !zeroLeft) return;
  // One scale a whole number of columns, and nothing else: most weights. The codes at `bytes` are numbers by now.
  const columns = field(d, SCALE0 + GRID_COLUMNS), whole = (field(d, SCALE0 + GRID_INDEXED) | field(d, SCALE0 + GRID_COLUMN_PHASE)) == 0;
  if (whole && field(d, SCALES) == 1 && !hasOffset && !zeroLeft && !divide && columns % 16 == 0 && inDim % columns == 0) {
    blockScales(w, d, n, columns, inDim / columns, bytes);
    for (const stop = out + (<usize>inDim << 2); out < stop; bytes += 4) {
      const s = v128.load32_splat(bytes);
      for (const end = out + (<usize>columns << 2); out < end; out += 16) v128.store(out, f32x4.mul(v128.load(out), s));
    }
    return;
  }
  for (let k = 0; k < inDim; ) {
    const end = segmentEnd(w, d, k);
    const z: f32 = zeroLeft ? <f32>zeroAt(w, d, n, k) : 0, s = scaleAt(w, d, n, k), o = offsetAt(w, d, n, k);
    const zv = f32x4.splat(z), sv = f32x4.splat(s), ov = f32x4.splat(o);
    // A loop each: in one, all would be computed, and a quotient takes as long as five products.
    if (divide || hasOffset) {
      for (; k + 4 <= end; k += 4) {
        const at = out + (<usize>k << 2), v = f32x4.sub(v128.load(at), zv), scaled = divide ? f32x4.div(v, sv) : f32x4.mul(v, sv);
        v128.store(at, hasOffset ? f32x4.add(scaled, ov) : scaled);
      }
    } else if (zeroLeft) {
      for (; k + 4 <= end; k += 4) v128.store(out + (<usize>k << 2), f32x4.mul(f32x4.sub(v128.load(out + (<usize>k << 2)), zv), sv));
    } else {
      for (; k + 4 <= end; k += 4) v128.store(out + (<usize>k << 2), f32x4.mul(v128.load(out + (<usize>k << 2)), sv));
    }
    for (; k < end; k++) {
      const at = out + (<usize>k << 2);
      let v = load<f32>(at) - z;
      v = divide ? v / s : v * s;
      store<f32>(at, hasOffset ? v + o : v);
    }
  }
}

/** Row n as 16-bit integers, number - zero (an integer table's numbers without its factor), K a multiple of 16. */
export function rowIntegers(w: usize, d: usize, n: i32, out: usize, bytes: usize): void {
  rowCodes(w, d, n, bytes);
  const inDim = field(d, IN_DIM);
  if (field(d, DECODE) == 6) {
    const table = v128.load(<usize>field(d, TABLE));
    for (let k = 0; k < inDim; k += 16) {
      const v = i8x16.swizzle(table, v128.load(bytes + <usize>k)), o = out + (<usize>k << 1);
      v128.store(o, i16x8.extend_low_i8x16_s(v));
      v128.store(o, i16x8.extend_high_i8x16_s(v), 16);
    }
    return;
  }
  const perSegment = field(d, ZERO_KIND) == 2;
  for (let k = 0; k < inDim; ) {
    const end = perSegment ? segmentEnd(w, d, k) : inDim, z = i16x8.splat(<i16>zeroAt(w, d, n, k));
    for (; k < end; k += 16) {
      const v = v128.load(bytes + <usize>k), o = out + (<usize>k << 1);
      v128.store(o, i16x8.sub(i16x8.extend_low_i8x16_u(v), z));
      v128.store(o, i16x8.sub(i16x8.extend_high_i8x16_u(v), z), 16);
    }
  }
}

/**
 * Rows of W as float32 in the weight's own column order: first + rows[i] (first + i where rows is 0) -> out[i, K].
 * Returns -1, or the place of the first row outside first..end; what follows it is not written.
 */
export function unpackRows(w: usize, d: usize, rows: usize, first: i32, end: i32, count: i32, out: usize, bytes: usize, floats: usize): i32 {
  const inDim = field(d, IN_DIM), order = field(d, ORDER);
  for (let i = 0; i < count; i++) {
    const n = rows == 0 ? first + i : first + load<i32>(rows + (<usize>i << 2)), o = out + (<usize>i * inDim << 2);
    if (n < first || n >= end) return i;
    if (order < 0) rowFloats(w, d, n, o, bytes);
    else {
      rowFloats(w, d, n, floats, bytes);
      const at = wordsAt(w, d, ORDER);
      for (let k = 0; k < inDim; k++) store<f32>(o + (<usize>load<u32>(at + (<usize>k << 2)) << 2), load<f32>(floats + (<usize>k << 2)));
    }
  }
  return -1;
}
