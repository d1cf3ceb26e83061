// Rows of W and of x side by side, as products of many rows read them: eight rows of W are a panel, two to six of x a pack. Four rows of W fill a vector
// of sums, so that what a block is scaled by is applied to four results at once, and no sum has to be added up across its lanes.
import {blockOffsets, blockScales, blockZeros} from './blocks';
import {rowCodes} from './codes';
import {raisedTable} from './fours';
import {DECODE, OFFSETS, TABLE_FACTOR, TABLE_LOWEST, ZERO_KIND, ZERO_VALUE, field} from './layout';
import {transpose, highBytes, lowBytes} from './vectors';

/** Bytes of W's panel at a time: half of a small first-level cache, the other half is for x. */
export const PANEL: usize = 16384;

/** What is multiplied: pairs of 16-bit integers, or bytes in fours, summed in 32 bits; fours of x of 16 bits as high and low bytes; fours summed in 16 bits. */
export const PAIRS: i32 = 0;
export const FOURS: i32 = 1;
export const SPLIT: i32 = 2;
export const SHORT: i32 = 3;

/** As highBytes and lowBytes, of the sixteen integers at p. */
// @ts-ignore: decorator
@inline
function highAt(p: usize): v128 {
  return highBytes(v128.load(p), v128.load(p, 16));
}

// @ts-ignore: decorator
@inline
function lowAt(p: usize): v128 {
  return lowBytes(v128.load(p), v128.load(p, 16));
}

/** Sixteen integers of 8 bits. */
// @ts-ignore: decorator
@inline
function narrow(p: usize): v128 {
  return i8x16.narrow_i16x8_s(v128.load(p), v128.load(p, 16));
}

/** Sixteen bytes of six rows, four columns of each side by side. */
// @ts-ignore: decorator
@inline
function packSixes(v0: v128, v1: v128, v2: v128, v3: v128, v4: v128, v5: v128, out: usize): void {
  transpose(v0, v1, v2, v3, out, 24);
  const a = i32x4.shuffle(v4, v5, 0, 4, 1, 5), b = i32x4.shuffle(v4, v5, 2, 6, 3, 7);
  v128.store64_lane(out, a, 0, 16);
  v128.store64_lane(out, a, 1, 40);
  v128.store64_lane(out, b, 0, 64);
  v128.store64_lane(out, b, 1, 88);
}

/**
 * A pack from `count` of `together` rows of x as prepareRow leaves them in plain order: a int16 [count, K], steps and sums float32 [count, blocks].
 * out: two columns (PAIRS) or four of four rows (SHORT), of six (FOURS), of three as high bytes and low ones (SPLIT), then the next columns.
 * outSteps and outSums float32 [blocks, together]. Rows that are not there are the last one again.
 */
export function packRows(
  a: usize, steps: usize, sums: usize, inDim: i32, blocks: i32, count: i32, kind: i32, together: i32, out: usize, outSteps: usize, outSums: usize,
): void {
  const rowBytes = <usize>inDim << 1, last = count - 1, a1 = a + <usize>min(1, last) * rowBytes, a2 = a + <usize>min(2, last) * rowBytes;
  const a3 = a + <usize>min(3, last) * rowBytes, a4 = a + <usize>min(4, last) * rowBytes, a5 = a + <usize>min(5, last) * rowBytes;
  if (!ASC_FEATURE_RELAXED_SIMD || kind == PAIRS) {
    for (let k: usize = 0; k < rowBytes; k += 16, out += 64) transpose(v128.load(a + k), v128.load(a1 + k), v128.load(a2 + k), v128.load(a3 + k), out, 16);
  } else if (kind == SHORT) {
    for (let k: usize = 0; k < rowBytes; k += 32, out += 64) transpose(narrow(a + k), narrow(a1 + k), narrow(a2 + k), narrow(a3 + k), out, 16);
  } else if (kind == FOURS) {
    for (let k: usize = 0; k < rowBytes; k += 32, out += 96) {
      packSixes(narrow(a + k), narrow(a1 + k), narrow(a2 + k), narrow(a3 + k), narrow(a4 + k), narrow(a5 + k), out);
    }
  } else {
    for (let k: usize = 0; k < rowBytes; k += 32, out += 96) {
      packSixes(highAt(a + k), lowAt(a + k), highAt(a1 + k), lowAt(a1 + k), highAt(a2 + k), lowAt(a2 + k), out);
    }
  }
  for (let r = 0; r < together; r++) {
    const at = <usize>(min(r, last) * blocks) << 2;
    let o = <usize>r << 2;
    for (let b: usize = 0; b < <usize>blocks << 2; b += 4, o += <usize>together << 2) {
      store<f32>(outSteps + o, load<f32>(steps + at + b));
      store<f32>(outSums + o, load<f32>(sums + at + b));
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

function packFours(p0: usize, p1: usize, p2: usize, p3: usize, columns: usize, out: usize): void {
  for (const end = p0 + columns; p0 < end; p0 += 16, p1 += 16, p2 += 16, p3 += 16, out += 128) {
    transpose(v128.load(p0), v128.load(p1), v128.load(p2), v128.load(p3), out, 32);
  }
}

/** Blocks of up to eight rows of bytes at `codes` -> a panel. Rows past `count` are the last one again, four of them are left out. */
export function packPanel(codes: usize, rowBytes: usize, count: i32, kind: i32, extra: usize, block: i32, blocks: i32, out: usize): void {
  const last = count - 1;
  for (let first = 0; first < count; first += 4, extra += 16, out += 16) {
    const p0 = codes + <usize>first * rowBytes, p1 = codes + <usize>min(first + 1, last) * rowBytes;
    const p2 = codes + <usize>min(first + 2, last) * rowBytes, p3 = codes + <usize>min(first + 3, last) * rowBytes;
    if (!ASC_FEATURE_RELAXED_SIMD || kind == PAIRS) packPairs(p0, p1, p2, p3, extra, block, blocks, out);
    else packFours(p0, p1, p2, p3, <usize>(block * blocks), out);
  }
}
