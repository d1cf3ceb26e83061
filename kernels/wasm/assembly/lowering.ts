// A module of its own, with memory of its own: a weight's codes from the order of a file into that of the record, on every backend.
import {transpose as fourByFour} from './vectors';

/** Two by two, the fields of `width` bits at bit `at` of neighbouring bytes, side by side in 16 bits. */
// @ts-ignore: decorator
@inline
function pairs(x: v128, at: i32, width: i32): v128 {
  const field = (1 << width) - 1;
  return v128.or(v128.and(i16x8.shr_u(x, at), i16x8.splat(<i16>field)), v128.and(i16x8.shr_u(x, at + 8 - width), i16x8.splat(<i16>(field << width))));
}

/** The fields of the 16 bytes at l: those at bit 0 go to `to`, the others `apart` bytes after those before them. */
// @ts-ignore: decorator
@inline
function gather4(l: usize, to: usize, apart: usize): void {
  const x = v128.load(l);
  const fours = i8x16.narrow_i16x8_u(pairs(x, 0, 4), pairs(x, 4, 4));
  v128.store64_lane(to, fours, 0);
  v128.store64_lane(to + apart, fours, 1);
}

// @ts-ignore: decorator
@inline
function gather2(l: usize, to: usize, apart: usize): void {
  const x = v128.load(l);
  const low = i8x16.narrow_i16x8_u(pairs(x, 0, 2), pairs(x, 2, 2)), high = i8x16.narrow_i16x8_u(pairs(x, 4, 2), pairs(x, 6, 2));
  const fours = i8x16.narrow_i16x8_u(pairs(low, 0, 4), pairs(high, 0, 4));
  v128.store32_lane(to, fours, 0);
  v128.store32_lane(to + apart, fours, 1);
  v128.store32_lane(to + 2 * apart, fours, 2);
  v128.store32_lane(to + 3 * apart, fours, 3);
}

// @ts-ignore: decorator
@inline
function gather1(l: usize, to: usize, apart: usize): void {
  const x = v128.load(l);
  for (let at = 7; at >= 0; at--, to += apart) store<u16>(to, <u16>i8x16.bitmask(i16x8.shl(x, at)));
}

// @ts-ignore: decorator
@inline
function gather(from: usize, blocks: i32, stride: i32, span: i32, run: i32, width: i32, to: usize): void {
  const apart = (run * width) >> 3, step = 2 * width;
  for (let b = 0; b < blocks; b++, from += stride) {
    const end = from + span;
    for (let start = from; start < end; start += run, to += run) {
      for (let l = start, o = to; l < start + run; l += 16, o += step) {
        if (width == 4) gather4(l, o, apart);
        else if (width == 2) gather2(l, o, apart);
        else gather1(l, o, apart);
      }
    }
  }
}

/**
 * Rows of blocks, `stride` bytes each, one after the other: `span` bytes of each are fields of `width` bits, 4, 2 or 1. In each run of `run` bytes, a
 * multiple of 16, the lowest fields of all bytes come first. Row n goes to `to + n * toStride` in the order of columns.
 */
export function gatherFields(from: usize, rows: i32, blocks: i32, stride: i32, span: i32, run: i32, width: i32, to: usize, toStride: i32): void {
  for (let n = 0; n < rows; n++, from += blocks * stride, to += toStride) {
    if (width == 4) gather(from, blocks, stride, span, run, 4, to);
    else if (width == 2) gather(from, blocks, stride, span, run, 2, to);
    else gather(from, blocks, stride, span, run, 1, to);
  }
}

/** The same of `span` bytes that stay as they are, a multiple of 4, each word XORed with `flip`. */
export function gatherWords(from: usize, rows: i32, blocks: i32, stride: i32, span: i32, flip: i32, to: usize, toStride: i32): void {
  const flips = i32x4.splat(flip), fours = span & ~15;
  for (let n = 0; n < rows; n++, to += toStride) {
    let at = to;
    for (let b = 0; b < blocks; b++, from += stride) {
      let i = 0;
      for (; i < fours; i += 16, at += 16) v128.store(at, v128.xor(v128.load(from + i), flips));
      for (; i < span; i += 4, at += 4) store<i32>(at, load<i32>(from + i) ^ flip);
    }
  }
}

/** Two bytes of each of `blocks` blocks, XORed with `flip`. Returns 1 where one is a float16 that is not finite. */
export function gatherHalves(from: usize, blocks: i32, stride: i32, flip: i32, to: usize): i32 {
  let bad = 0;
  for (let b = 0; b < blocks; b++, from += stride, to += 2) {
    const code = <i32>load<u16>(from);
    // A carry out of an exponent of ones.
    bad |= (code & 0x7c00) + 0x400;
    store<u16>(to, <u16>(code ^ flip));
  }
  return (bad >> 15) & 1;
}

/**
 * Eight pairs of 6-bit numbers in the first 12 bytes of each block: the first four of each kind whole, the last four in nibbles and spare high bits.
 * The first of each pair for kind 0, the second for kind 1.
 */
export function gatherSixes(from: usize, blocks: i32, stride: i32, kind: i32, to: usize): void {
  for (let b = 0; b < blocks; b++, from += stride, to += 8) {
    const x = load<u32>(from + (kind << 2));
    store<u32>(to, x & 0x3f3f3f3f);
    store<u32>(to + 4, ((load<u32>(from + 8) >> (kind << 2)) & 0x0f0f0f0f) | ((x >> 2) & 0x30303030));
  }
}

/** Words [rows, columns], `stride` bytes from row to row, to [columns, rows], `toStride` bytes from column to column. */
export function transpose(from: usize, rows: i32, columns: i32, stride: i32, to: usize, toStride: i32): void {
  const fours = rows & ~3;
  for (let c = 0; c < columns; c += 16) {
    const end = min(c + 16, columns);
    let r = 0;
    if (c + 16 <= columns) {
      for (; r < fours; r += 4) {
        let a = from + r * stride + (c << 2), o = to + c * toStride + (r << 2);
        for (let i = 0; i < 16; i += 4, a += 16, o += toStride << 2) {
          fourByFour(v128.load(a), v128.load(a + stride), v128.load(a + 2 * stride), v128.load(a + 3 * stride), o, toStride);
        }
      }
    }
    for (; r < rows; r++) for (let k = c; k < end; k++) store<i32>(to + k * toStride + (r << 2), load<i32>(from + r * stride + (k << 2)));
  }
}
