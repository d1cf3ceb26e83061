// Scale, offset and zero of every block of one row, as float32: what the integer kernels multiply whole blocks by.
import {
  BITS0, BITS1, BITS2, DIVIDE0, DIVIDE1, GRID_COLUMNS, GRID_COLUMN_PHASE, GRID_INDEXED, GRID_WIDTH, LEVEL_START, LEVEL_TYPE, OFFSET0, OFFSET1,
  OFFSETS, PLANES, SCALE0, SCALE1, SCALES, ZERO_GRID, ZERO_START0, ZERO_START1, ZERO_START2, field, kept, unknownZeros, wordsAt,
} from './layout';
import {entryRow, number, offsetAt, scaleAt, zeroAt} from './levels';
import {BIAS, EDGE, MAGNITUDE, TOP, halves, ordinary} from './vectors';

/** A whole number of blocks an entry, in order from column 0? */
// @ts-ignore: decorator
@inline
function plain(g: usize, block: i32): bool {
  return !field(g, GRID_INDEXED) && field(g, GRID_COLUMN_PHASE) == 0 && (field(g, GRID_COLUMNS) % block == 0 || field(g, GRID_WIDTH) == 1);
}

// @ts-ignore: decorator
@inline
function firstEntry(g: usize, n: i32): i32 {
  return entryRow(g, n) * field(g, GRID_WIDTH);
}

/** Four bytes as i32 lanes. */
// @ts-ignore: decorator
@inline
function bytes4(p: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(p)));
}

/**
 * `count` entries from entry `e` of a level, to out. Loads and stores run up to 3 entries past the end: other entries or the spare bytes
 * that every allocation and scratch run has.
 */
function entries(w: usize, d: usize, l: usize, e: i32, count: i32, out: usize): void {
  const at = wordsAt(w, l, LEVEL_START), type = field(l, LEVEL_TYPE), end = out + (<usize>count << 2), zeros = unknownZeros(d);
  if (type == 0) {
    for (let p = at + (<usize>e << 2); out < end; p += 16, out += 16) v128.store(out, v128.load(p));
  } else if (type == 1) {
    const magnitude = kept(zeros, MAGNITUDE), bias = kept(zeros, BIAS), edge = kept(zeros, EDGE), top = kept(zeros, TOP);
    for (let p = at + (<usize>e << 1); out < end; p += 8, out += 16) v128.store(out, halves(p, magnitude, bias, edge, top));
  } else if (type == 2) {
    for (let p = at + (<usize>e << 1); out < end; p += 8, out += 16) v128.store(out, i32x4.shl(v128.load16x4_u(p), 16));
  } else if (type == 3) {
    // Eight at a time as the upper halves of float32: an exponent alone; codes 0 and 255, the subnormal 2^-127 and NaN, both have one bit more.
    const bit = kept(zeros, 0x00400040), most = kept(zeros, 0x00fe00fe);
    for (let p = at + <usize>e; out < end; p += 8, out += 32) {
      const v = v128.load8x8_u(p), f = v128.or(i16x8.max_u(i16x8.shl(v, 7), bit), i16x8.shl(i16x8.sub_sat_u(v, most), 6));
      v128.store(out, i16x8.shuffle(zeros, f, 0, 8, 1, 9, 2, 10, 3, 11));
      if (out + 16 >= end) return;
      v128.store(out, i16x8.shuffle(zeros, f, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    }
  } else if (type == 4) {
    // Eight at a time as the upper halves of float32. The largest code is NaN.
    const most = kept(zeros, 0x007f007f), nan = kept(zeros, 0x7fc07fc0), top = kept(zeros, 0x80008000), bias = kept(zeros, 0x3c003c00), edge = kept(zeros, 0x3c800000);
    for (let p = at + <usize>e; out < end; p += 8, out += 32) {
      const v = v128.load8x8_u(p), low = v128.and(v, most), sign = v128.and(i16x8.shl(v, 8), top);
      const f = v128.or(i16x8.add(i16x8.shl(low, 4), bias), v128.and(i16x8.eq(low, most), nan));
      const first = ordinary(i16x8.shuffle(zeros, f, 0, 8, 1, 9, 2, 10, 3, 11), edge);
      v128.store(out, v128.or(first, i16x8.shuffle(zeros, sign, 0, 8, 1, 9, 2, 10, 3, 11)));
      if (out + 16 >= end) return;
      const second = ordinary(i16x8.shuffle(zeros, f, 4, 12, 5, 13, 6, 14, 7, 15), edge);
      v128.store(out, v128.or(second, i16x8.shuffle(zeros, sign, 4, 12, 5, 13, 6, 14, 7, 15)), 16);
    }
  } else if (type == 5) {
    for (let p = at + <usize>e; out < end; p += 4, out += 16) {
      v128.store(out, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(p)))));
    }
  } else {
    for (let p = at + <usize>e; out < end; p += 4, out += 16) v128.store(out, f32x4.convert_i32x4_s(bytes4(p)));
  }
}

/** One level over the blocks of row n. false: its grid is not plain. */
function oneLevel(w: usize, d: usize, l: usize, n: i32, block: i32, blocks: i32, out: usize): bool {
  if (!plain(l, block)) return false;
  const width = field(l, GRID_WIDTH), first = firstEntry(l, n);
  if (field(l, GRID_COLUMNS) == block) {
    entries(w, d, l, first, blocks, out);
    return true;
  }
  const repeat = width == 1 ? blocks : field(l, GRID_COLUMNS) / block;
  for (let b = 0, e = first; b < blocks; b += repeat, e++) {
    const v = f32x4.splat(number(w, d, l, e));
    for (let i = b; i < min(blocks, b + repeat); i += 4) v128.store(out + (<usize>i << 2), v);
  }
  return true;
}

/** Eight 16-bit integers times v, as float32. */
// @ts-ignore: decorator
@inline
function scaled8(out: usize, v: v128, integers: v128): void {
  v128.store(out, f32x4.mul(v, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(integers))));
  v128.store(out, f32x4.mul(v, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(integers))), 16);
}

/**
 * Two levels, the inner one bytes: an entry of the outer one serves `repeat` blocks, a multiple of eight. The outer entries lie at the end of `out`
 * until the products that need them take their place.
 */
function small(w: usize, d: usize, outer: usize, inner: usize, n: i32, repeat: i32, blocks: i32, out: usize): void {
  const count = blocks / repeat, end = out + (<usize>blocks << 2), signed = field(inner, LEVEL_TYPE) == 5;
  let o = end - (<usize>count << 2), p = wordsAt(w, inner, LEVEL_START) + <usize>firstEntry(inner, n);
  entries(w, d, outer, firstEntry(outer, n), count, o);
  for (; out < end; o += 4) {
    const v = v128.load32_splat(o), stop = out + (<usize>repeat << 2);
    if (signed) for (; out < stop; out += 32, p += 8) scaled8(out, v, v128.load8x8_s(p));
    else for (; out < stop; out += 32, p += 8) scaled8(out, v, v128.load8x8_u(p));
  }
}

/** Two levels: `inner` has one entry a block, `outer` one for several. how: 0 product, 1 outer / inner, 2 inner / outer. */
function twoLevels(w: usize, d: usize, outer: usize, inner: usize, how: i32, n: i32, block: i32, blocks: i32, out: usize): bool {
  if (field(inner, GRID_COLUMNS) != block || !plain(inner, block) || !plain(outer, block)) return false;
  const width = field(outer, GRID_WIDTH), repeat = width == 1 ? blocks : field(outer, GRID_COLUMNS) / block;
  if (repeat % 4 != 0 && width != 1) return false;
  if (how == 0 && field(inner, LEVEL_TYPE) >= 5 && repeat % 8 == 0 && blocks % repeat == 0) {
    small(w, d, outer, inner, n, repeat, blocks, out);
    return true;
  }
  entries(w, d, inner, firstEntry(inner, n), blocks, out);
  for (let b = 0, e = firstEntry(outer, n); b < blocks; b += repeat, e++) {
    const v = f32x4.splat(number(w, d, outer, e)), end = min(blocks, b + repeat);
    for (let i = b; i < end; i += 4) {
      const at = out + (<usize>i << 2), u = v128.load(at);
      // Written as one store, all three would be computed.
      if (how == 0) v128.store(at, f32x4.mul(v, u));
      else if (how == 1) v128.store(at, f32x4.div(v, u));
      else v128.store(at, f32x4.div(u, v));
    }
  }
  return true;
}

/** Scale of each block of row n. Blocks never straddle entries. out: blocks + 4 float32. */
export function blockScales(w: usize, d: usize, n: i32, block: i32, blocks: i32, out: usize): void {
  const count = field(d, SCALES), divide1 = field(d, DIVIDE1) != 0;
  const known =
    (count == 1 && oneLevel(w, d, d + SCALE0, n, block, blocks, out)) ||
    (count == 2 && twoLevels(w, d, d + SCALE0, d + SCALE1, divide1 ? 1 : 0, n, block, blocks, out)) ||
    (count == 2 && twoLevels(w, d, d + SCALE1, d + SCALE0, divide1 ? 2 : 0, n, block, blocks, out));
  if (!known) for (let b = 0; b < blocks; b++) store<f32>(out + (<usize>b << 2), scaleAt(w, d, n, b * block));
  if (field(d, DIVIDE0)) {
    for (let b = 0; b < blocks; b += 4) {
      const at = out + (<usize>b << 2);
      v128.store(at, f32x4.div(f32x4.splat(1), v128.load(at)));
    }
  }
}

/** Offset of each block of row n. out: blocks + 4 float32. */
export function blockOffsets(w: usize, d: usize, n: i32, block: i32, blocks: i32, out: usize): void {
  const count = field(d, OFFSETS);
  if (count == 1 && oneLevel(w, d, d + OFFSET0, n, block, blocks, out)) return;
  if (count == 2 && twoLevels(w, d, d + OFFSET0, d + OFFSET1, 0, n, block, blocks, out)) return;
  for (let b = 0; b < blocks; b++) store<f32>(out + (<usize>b << 2), offsetAt(w, d, n, b * block));
}

/** Zero code of each block of row n, as float32. out: blocks + 4 float32. */
export function blockZeros(w: usize, d: usize, n: i32, block: i32, blocks: i32, out: usize): void {
  const g = d + ZERO_GRID;
  if (!plain(g, block) || field(g, GRID_COLUMNS) != block) {
    for (let b = 0; b < blocks; b++) store<f32>(out + (<usize>b << 2), <f32>zeroAt(w, d, n, b * block));
    return;
  }
  let shift = 0;
  for (let i = 0; i < field(d, PLANES); i++) {
    const width = field(d, i == 0 ? BITS0 : i == 1 ? BITS1 : BITS2);
    zeroPlane(wordsAt(w, d, i == 0 ? ZERO_START0 : i == 1 ? ZERO_START1 : ZERO_START2), width, shift, firstEntry(g, n), blocks, out);
    shift += width;
  }
}

/** Entries of one plane of zeros, times 2^shift, into out; those of a later plane are added. Runs past the end as `entries` does. */
function zeroPlane(start: usize, width: i32, shift: i32, first: i32, blocks: i32, out: usize): void {
  // Four fields of a word stay where they are and are worth less there: a product with a power of two is exact.
  const whole = width == 8, most = (1 << width) - 1, unit = <f32>(1 << shift), part: f32 = whole ? 1 : 1 / <f32>(1 << width);
  const fields = i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(most), 1, most << width), 2, most << 2 * width), 3, most << 3 * width);
  const units = f32x4.replace_lane(
    f32x4.replace_lane(f32x4.replace_lane(f32x4.splat(unit), 1, unit * part), 2, unit * part * part), 3, unit * part * part * part);
  for (const end = first + blocks; first < end; first += 4, out += 16) {
    const bit = first * width, p = start + <usize>(bit >> 3);
    const v = f32x4.mul(f32x4.convert_i32x4_s(whole ? bytes4(p) : v128.and(i32x4.splat(load<u32>(p) >> (bit & 7)), fields)), units);
    v128.store(out, shift == 0 ? v : f32x4.add(v128.load(out), v));
  }
}
