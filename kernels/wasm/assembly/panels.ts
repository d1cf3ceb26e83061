// Rows of W and of x side by side, as products of many rows read them: eight rows of W are a panel, four of x a quad. Four rows of W fill a vector of sums,
// so that what a block is scaled by is applied to four results at once, and no sum has to be added up across its lanes.
import {blockOffsets, blockScales, blockZeros} from './blocks';
import {rowCodes} from './codes';
import {raisedTable} from './fours';
import {BITS0, DECODE, LOW_NIBBLES, OFFSETS, PLANES, TABLE_FACTOR, TABLE_LOWEST, ZERO_KIND, ZERO_VALUE, field} from './layout';

/** Bytes of W's panel at a time: half of a small first-level cache, the other half is for x. */
export const PANEL: usize = 16384;

/** What is multiplied: pairs of 16-bit integers, or bytes in fours, summed in 32 bits; fours of x of 16 bits as high and low bytes; fours summed in 16 bits. */
export const PAIRS: i32 = 0;
export const FOURS: i32 = 1;
export const SPLIT: i32 = 2;
export const SHORT: i32 = 3;

/** Four vectors of four 32-bit lanes, transposed; results `apart` bytes from each other. */
// @ts-ignore: decorator
@inline
export function transpose(v0: v128, v1: v128, v2: v128, v3: v128, out: usize, apart: usize): void {
  const a = i32x4.shuffle(v0, v1, 0, 4, 1, 5), b = i32x4.shuffle(v0, v1, 2, 6, 3, 7), c = i32x4.shuffle(v2, v3, 0, 4, 1, 5), e = i32x4.shuffle(v2, v3, 2, 6, 3, 7);
  v128.store(out, i64x2.shuffle(a, c, 0, 2));
  v128.store(out + apart, i64x2.shuffle(a, c, 1, 3));
  v128.store(out + 2 * apart, i64x2.shuffle(b, e, 0, 2));
  v128.store(out + 3 * apart, i64x2.shuffle(b, e, 1, 3));
}

/** Sixteen integers of at most 8 bits as bytes. */
// @ts-ignore: decorator
@inline
function bytes(p: usize): v128 {
  return i8x16.narrow_i16x8_s(v128.load(p), v128.load(p, 16));
}

// @ts-ignore: decorator
@inline
function highBytes(p: usize): v128 {
  const half = i16x8.splat(128);
  return i8x16.narrow_i16x8_s(i16x8.shr_s(i16x8.add(v128.load(p), half), 8), i16x8.shr_s(i16x8.add(v128.load(p, 16), half), 8));
}

// @ts-ignore: decorator
@inline
function lowBytes(p: usize): v128 {
  return i8x16.narrow_i16x8_s(i16x8.shr_s(i16x8.shl(v128.load(p), 8), 8), i16x8.shr_s(i16x8.shl(v128.load(p, 16), 8), 8));
}

/**
 * A quad from `count` rows of x as prepareRow leaves them in plain order: a int16 [count, K], steps and sums float32 [count, blocks].
 * out: two columns of all rows (PAIRS) or four, then the next ones; SPLIT: high bytes of a row, its low bytes, and those of a second row.
 * outSteps and outSums float32 [blocks, 4]. Rows that are not there are the last one again.
 */
export function packRows(a: usize, steps: usize, sums: usize, inDim: i32, blocks: i32, count: i32, kind: i32, out: usize, outSteps: usize, outSums: usize): void {
  const rowBytes = <usize>inDim << 1, last = count - 1, a1 = a + <usize>min(1, last) * rowBytes, a2 = a + <usize>min(2, last) * rowBytes, a3 = a + <usize>last * rowBytes;
  if (!ASC_FEATURE_RELAXED_SIMD || kind == PAIRS) {
    for (let k: usize = 0; k < rowBytes; k += 16, out += 64) transpose(v128.load(a + k), v128.load(a1 + k), v128.load(a2 + k), v128.load(a3 + k), out, 16);
  } else if (kind == SPLIT) {
    for (let k: usize = 0; k < rowBytes; k += 32, out += 64) transpose(highBytes(a + k), lowBytes(a + k), highBytes(a1 + k), lowBytes(a1 + k), out, 16);
  } else {
    for (let k: usize = 0; k < rowBytes; k += 32, out += 64) transpose(bytes(a + k), bytes(a1 + k), bytes(a2 + k), bytes(a3 + k), out, 16);
  }
  for (let r = 0; r < 4; r++) {
    const at = <usize>(min(r, last) * blocks) << 2;
    for (let b: usize = 0; b < <usize>blocks; b++) {
      store<f32>(outSteps + (b << 4) + (<usize>r << 2), load<f32>(steps + at + (b << 2)));
      store<f32>(outSums + (b << 4) + (<usize>r << 2), load<f32>(sums + at + (b << 2)));
    }
  }
}

/** Rows n and on of W as bytes, `rowBytes` apart: codes, or a table's numbers less the lowest. */
export function panelCodes(w: usize, d: usize, n: i32, count: i32, out: usize, rowBytes: usize): void {
  for (let r = 0; r < count; r++, out += rowBytes) {
    rowCodes(w, d, n + r, out);
    if (field(d, DECODE) == 6) {
      const table = raisedTable(d);
      for (let k: usize = 0; k < rowBytes; k += 16) v128.store(out + k, i8x16.swizzle(table, v128.load(out + k)));
    }
  }
}

/**
 * Scales of the blocks of those rows -> float32 [blocks, 8], and beside them `extra`: zeros (PAIRS), or what a block adds to a product for each unit of
 * the sum of its x. runs: 3 of blocks + 4 float32.
 */
export function panelLevels(w: usize, d: usize, n: i32, count: i32, block: i32, blocks: i32, kind: i32, runs: usize, scales: usize, extra: usize): void {
  const tabled = field(d, DECODE) == 6, factor: f32 = tabled ? load<f32>(d + TABLE_FACTOR) : 1, zeroKind = field(d, ZERO_KIND);
  const hasOffset = field(d, OFFSETS) > 0 && kind != PAIRS, run = <usize>(blocks + 4) << 2, zeros = runs + run, offsets = zeros + run;
  const value: f32 = tabled ? -<f32>field(d, TABLE_LOWEST) : zeroKind == 1 ? <f32>field(d, ZERO_VALUE) : 0;
  for (let r = 0; r < count; r++) {
    blockScales(w, d, n + r, block, blocks, runs);
    if (zeroKind == 2) blockZeros(w, d, n + r, block, blocks, zeros);
    if (hasOffset) blockOffsets(w, d, n + r, block, blocks, offsets);
    let to = <usize>r << 2;
    for (let at: usize = 0; at < <usize>blocks << 2; at += 4, to += 32) {
      const s = load<f32>(runs + at) * factor, z = zeroKind == 2 ? load<f32>(zeros + at) : value;
      store<f32>(scales + to, s);
      store<f32>(extra + to, kind == PAIRS ? z : hasOffset ? load<f32>(offsets + at) - z * s : -z * s);
    }
  }
}

/** Offsets of the blocks of those rows -> float32 [blocks, 8]. run: blocks + 4 float32. */
export function panelOffsets(w: usize, d: usize, n: i32, count: i32, block: i32, blocks: i32, run: usize, out: usize): void {
  for (let r = 0; r < count; r++) {
    blockOffsets(w, d, n + r, block, blocks, run);
    for (let b: usize = 0; b < <usize>blocks; b++) store<f32>(out + (b << 5) + (<usize>r << 2), load<f32>(run + (b << 2)));
  }
}

/** Pairs of bytes of four rows -> two columns of all four in 16 bits, less z. */
// @ts-ignore: decorator
@inline
function widened(pairs: v128, z: v128, out: usize): void {
  v128.store(out, i16x8.sub(i16x8.extend_low_i8x16_u(pairs), z));
  v128.store(out, i16x8.sub(i16x8.extend_high_i8x16_u(pairs), z), 32);
}

/** `blocks` blocks of four rows of bytes, less their zeros float32 [blocks, 8], into one half of a panel. */
function packPairs(p0: usize, p1: usize, p2: usize, p3: usize, zeros: usize, block: i32, blocks: i32, out: usize): void {
  for (const stop = zeros + (<usize>blocks << 5); zeros < stop; zeros += 32) {
    const codes = i32x4.trunc_sat_f32x4_s(v128.load(zeros)), z = v128.or(i32x4.shl(codes, 16), v128.and(codes, i32x4.splat(0xffff)));
    for (let j = 0; j < block; j += 16, out += 256, p0 += 16, p1 += 16, p2 += 16, p3 += 16) {
      const v0 = v128.load(p0), v1 = v128.load(p1), v2 = v128.load(p2), v3 = v128.load(p3);
      const a = i16x8.shuffle(v0, v1, 0, 8, 1, 9, 2, 10, 3, 11), b = i16x8.shuffle(v2, v3, 0, 8, 1, 9, 2, 10, 3, 11);
      const c = i16x8.shuffle(v0, v1, 4, 12, 5, 13, 6, 14, 7, 15), e = i16x8.shuffle(v2, v3, 4, 12, 5, 13, 6, 14, 7, 15);
      widened(i32x4.shuffle(a, b, 0, 4, 1, 5), z, out);
      widened(i32x4.shuffle(a, b, 2, 6, 3, 7), z, out + 64);
      widened(i32x4.shuffle(c, e, 0, 4, 1, 5), z, out + 128);
      widened(i32x4.shuffle(c, e, 2, 6, 3, 7), z, out + 192);
    }
  }
}

/** Codes of one plane of 4 bits -> a pair of columns of two rows in 8 bytes, less z, and in 16 bits to out. */
// @ts-ignore: decorator
@inline
function widenedNibbles(v: v128, nibbles: v128, z: v128, out: usize): void {
  const low = v128.and(v, nibbles), high = v128.and(i16x8.shr_u(v, 4), nibbles);
  const a = i8x16.sub(i8x16.shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), z);
  const b = i8x16.sub(i8x16.shuffle(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), z);
  v128.store(out, i16x8.extend_low_i8x16_s(a));
  v128.store(out, i16x8.extend_high_i8x16_s(a), 32);
  v128.store(out, i16x8.extend_low_i8x16_s(b), 64);
  v128.store(out, i16x8.extend_high_i8x16_s(b), 96);
}

/** As packPairs, from four rows of one plane of 4 bits; block a multiple of 32. A byte is a pair of columns. */
function packNibbles(p0: usize, p1: usize, p2: usize, p3: usize, zeros: usize, block: i32, blocks: i32, nibbles: v128, out: usize): void {
  for (const stop = zeros + (<usize>blocks << 5); zeros < stop; zeros += 32) {
    const codes = i32x4.trunc_sat_f32x4_s(v128.load(zeros)), twice = v128.or(codes, i32x4.shl(codes, 8));
    const z = i8x16.shuffle(twice, twice, 0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13);
    for (let j = 0; j < block; j += 32, out += 512, p0 += 16, p1 += 16, p2 += 16, p3 += 16) {
      const v0 = v128.load(p0), v1 = v128.load(p1), v2 = v128.load(p2), v3 = v128.load(p3);
      const a = i8x16.shuffle(v0, v1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const b = i8x16.shuffle(v2, v3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const c = i8x16.shuffle(v0, v1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const e = i8x16.shuffle(v2, v3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      widenedNibbles(i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11), nibbles, z, out);
      widenedNibbles(i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15), nibbles, z, out + 128);
      widenedNibbles(i16x8.shuffle(c, e, 0, 8, 1, 9, 2, 10, 3, 11), nibbles, z, out + 256);
      widenedNibbles(i16x8.shuffle(c, e, 4, 12, 5, 13, 6, 14, 7, 15), nibbles, z, out + 384);
    }
  }
}

function packFours(p0: usize, p1: usize, p2: usize, p3: usize, columns: usize, out: usize): void {
  for (const end = p0 + columns; p0 < end; p0 += 16, p1 += 16, p2 += 16, p3 += 16, out += 128) {
    transpose(v128.load(p0), v128.load(p1), v128.load(p2), v128.load(p3), out, 32);
  }
}

/** Rows of W are one plane of 4 bits that packPanel reads as it is, less zeros that bytes hold? */
export function isNibbles(d: usize, kind: i32, block: i32): bool {
  const isPlane = field(d, DECODE) == 0 && field(d, PLANES) == 1 && field(d, BITS0) == 4;
  return kind == PAIRS && isPlane && block % 32 == 0 && (field(d, ZERO_KIND) != 1 || <u32>field(d, ZERO_VALUE) < 128);
}

/**
 * Blocks of up to eight rows at `codes`, bytes or nibbles, -> a panel. Rows past `count` are the last one again, four of them are left out.
 */
export function packPanel(d: usize, codes: usize, rowBytes: usize, count: i32, kind: i32, nibbles: bool, extra: usize, block: i32, blocks: i32, out: usize): void {
  const last = count - 1;
  for (let first = 0; first < count; first += 4, extra += 16, out += 16) {
    const p0 = codes + <usize>first * rowBytes, p1 = codes + <usize>min(first + 1, last) * rowBytes;
    const p2 = codes + <usize>min(first + 2, last) * rowBytes, p3 = codes + <usize>min(first + 3, last) * rowBytes;
    if (nibbles) packNibbles(p0, p1, p2, p3, extra, block, blocks, v128.load(d + LOW_NIBBLES), out);
    else if (!ASC_FEATURE_RELAXED_SIMD || kind == PAIRS) packPairs(p0, p1, p2, p3, extra, block, blocks, out);
    else packFours(p0, p1, p2, p3, <usize>(block * blocks), out);
  }
}
