// Scale, offset and zero of every block of one row, as float32: what the integer kernels multiply whole blocks by.
import {
  BITS0, DIVIDE0, DIVIDE1, GRID_COLUMNS, GRID_COLUMN_PHASE, GRID_INDEXED, GRID_ROWS, GRID_WIDTH, LEVEL_START, LEVEL_TYPE, OFFSET0, OFFSET1,
  OFFSETS, PLANES, SCALE0, SCALE1, SCALES, ZERO_GRID, ZERO_START0, field, wordsAt,
} from './layout';
import {entry, number, offsetAt, scaleAt, zeroAt} from './levels';

/** A whole number of blocks an entry, in order from column 0, and a row of entries for each row of W? */
// @ts-ignore: decorator
@inline
function plain(g: usize, block: i32): bool {
  return field(g, GRID_ROWS) == 1 && !field(g, GRID_INDEXED) && field(g, GRID_COLUMN_PHASE) == 0 && (field(g, GRID_COLUMNS) % block == 0 || field(g, GRID_WIDTH) == 1);
}

/**
 * `count` entries from entry `e` of a level, to out. Loads and stores run up to 3 entries past the end: other entries or the spare bytes
 * that every allocation and scratch run has.
 */
function entries(w: usize, d: usize, l: usize, e: i32, count: i32, out: usize): void {
  const at = wordsAt(w, l, LEVEL_START), type = field(l, LEVEL_TYPE);
  if (type == 0) {
    memory.copy(out, at + (<usize>e << 2), <usize>count << 2);
  } else if (type == 1) {
    const up = f32x4.splat(reinterpret<f32>(0x77800000)), mask = i32x4.splat(0x8fffe000);
    let p = at + (<usize>e << 1);
    for (let i = 0; i < count; i += 4, p += 8, out += 16) v128.store(out, f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(p), 13), mask), up));
  } else if (type == 2) {
    let p = at + (<usize>e << 1);
    for (let i = 0; i < count; i += 4, p += 8, out += 16) v128.store(out, i32x4.shl(v128.load16x4_u(p), 16));
  } else if (type >= 5) {
    let p = at + <usize>e;
    for (let i = 0; i < count; i += 4, p += 4, out += 16) {
      const bytes = v128.load32_zero(p);
      v128.store(out, f32x4.convert_i32x4_s(type == 5 ? i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(bytes)) : i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes))));
    }
  } else {
    for (let i = 0; i < count; i++) store<f32>(out + (<usize>i << 2), number(w, d, l, e + i));
  }
}

/** One level over the blocks of row n. false: its grid is not plain. */
function oneLevel(w: usize, d: usize, l: usize, n: i32, block: i32, blocks: i32, out: usize): bool {
  if (!plain(l, block)) return false;
  const width = field(l, GRID_WIDTH), first = n * width;
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

/** Two levels: the second has one entry a block, the first one for several. */
function twoLevels(w: usize, d: usize, l: usize, inner: usize, n: i32, block: i32, blocks: i32, out: usize): bool {
  if (field(inner, GRID_COLUMNS) != block || !plain(inner, block) || !plain(l, block)) return false;
  entries(w, d, inner, n * field(inner, GRID_WIDTH), blocks, out);
  const width = field(l, GRID_WIDTH), repeat = width == 1 ? blocks : field(l, GRID_COLUMNS) / block;
  if (repeat % 4 != 0 && width != 1) return false;
  for (let b = 0, e = n * width; b < blocks; b += repeat, e++) {
    const v = f32x4.splat(number(w, d, l, e)), end = min(blocks, b + repeat);
    for (let i = b; i < end; i += 4) {
      const at = out + (<usize>i << 2);
      v128.store(at, f32x4.mul(v, v128.load(at)));
    }
  }
  return true;
}

/** Scale of each block of row n. Blocks never straddle entries. out: blocks + 4 float32. */
export function blockScales(w: usize, d: usize, n: i32, block: i32, blocks: i32, out: usize): void {
  const count = field(d, SCALES), divide = field(d, DIVIDE0) != 0;
  if (!divide && count == 1 && oneLevel(w, d, d + SCALE0, n, block, blocks, out)) return;
  if (!divide && count == 2 && !field(d, DIVIDE1) && twoLevels(w, d, d + SCALE0, d + SCALE1, n, block, blocks, out)) return;
  for (let b = 0; b < blocks; b++) {
    const s = scaleAt(w, d, n, b * block);
    store<f32>(out + (<usize>b << 2), divide ? 1 / s : s);
  }
}

/** Offset of each block of row n. out: blocks + 4 float32. */
export function blockOffsets(w: usize, d: usize, n: i32, block: i32, blocks: i32, out: usize): void {
  const count = field(d, OFFSETS);
  if (count == 1 && oneLevel(w, d, d + OFFSET0, n, block, blocks, out)) return;
  if (count == 2 && twoLevels(w, d, d + OFFSET0, d + OFFSET1, n, block, blocks, out)) return;
  for (let b = 0; b < blocks; b++) store<f32>(out + (<usize>b << 2), offsetAt(w, d, n, b * block));
}

/** Zero code of each block of row n, as float32. out: blocks + 4 float32. */
export function blockZeros(w: usize, d: usize, n: i32, block: i32, blocks: i32, out: usize): void {
  const g = d + ZERO_GRID, bits = field(d, BITS0);
  if (field(d, PLANES) == 1 && bits == 4 && plain(g, block) && field(g, GRID_COLUMNS) == block) {
    const start = wordsAt(w, d, ZERO_START0), first = n * field(g, GRID_WIDTH);
    // Four codes of 16 bits, each moved to the top of its lane by a product and back down by one shift.
    const up = i32x4(4096, 256, 16, 1);
    for (let b = 0; b < blocks; b += 4) {
      const bit = (first + b) << 2;
      const p = start + <usize>((bit >> 4) << 1);
      const codes = load<u32>(p) >> (bit & 15);
      const lanes = v128.and(i32x4.splat(codes & 0xffff), i32x4(0xf, 0xf0, 0xf00, 0xf000));
      v128.store(out + (<usize>b << 2), f32x4.convert_i32x4_s(i32x4.shr_u(i32x4.mul(lanes, up), 12)));
    }
    return;
  }
  for (let b = 0; b < blocks; b++) store<f32>(out + (<usize>b << 2), <f32>zeroAt(w, d, n, b * block));
}
