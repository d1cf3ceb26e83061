// A module of its own, with memory of its own: a weight's codes from the order of a file into that of the record, on every backend.
import {transpose as fourByFour} from './vectors';

/** Fields that lie 8 bits apart in each 8 bytes of x, moved side by side by halvings. */
// @ts-ignore: decorator
@inline
function joined(x: v128, width: i32): v128 {
  const one = (1 << width) - 1, two = (1 << (2 * width)) - 1, four = (1 << (4 * width)) - 1;
  x = v128.and(x, i8x16.splat(<i8>one));
  x = v128.and(v128.or(x, i64x2.shr_u(x, 8 - width)), i16x8.splat(<i16>two));
  x = v128.and(v128.or(x, i64x2.shr_u(x, 16 - 2 * width)), i32x4.splat(four));
  return v128.or(x, i64x2.shr_u(x, 32 - 4 * width));
}

// @ts-ignore: decorator
@inline
function gather(from: usize, blocks: i32, stride: i32, span: i32, run: i32, width: i32, to: usize): void {
  for (let b = 0; b < blocks; b++, from += stride) {
    const end = from + span;
    for (let start = from; start < end; start += run) {
      for (let shift = 0; shift < 8; shift += width) {
        for (let l = start; l < start + run; l += 16, to += 2 * width) {
          const x = joined(i64x2.shr_u(v128.load(l), shift), width);
          if (width == 4) v128.store64_lane(to, i32x4.shuffle(x, x, 0, 2, 0, 2), 0);
          else {
            const both = (i64x2.extract_lane(x, 0) & <i64>((1 << (8 * width)) - 1)) | (i64x2.extract_lane(x, 1) << (8 * width));
            if (width == 2) store<u32>(to, <u32>both);
            else store<u16>(to, <u16>both);
          }
        }
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
  for (let n = 0; n < rows; n++, to += toStride) {
    let at = to;
    for (let b = 0; b < blocks; b++, from += stride) {
      for (let i = 0; i < span; i += 4, at += 4) store<i32>(at, load<i32>(from + i) ^ flip);
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

/** Eight pairs of 6-bit numbers in the first 12 bytes of each block: the first four of each kind whole, the last four in nibbles and spare high bits. */
export function gatherSixes(from: usize, blocks: i32, stride: i32, firsts: usize, seconds: usize): void {
  for (let b = 0; b < blocks; b++, from += stride, firsts += 8, seconds += 8) {
    const x = load<u32>(from), y = load<u32>(from + 4), low = load<u32>(from + 8);
    store<u32>(firsts, x & 0x3f3f3f3f);
    store<u32>(firsts + 4, (low & 0x0f0f0f0f) | ((x >> 2) & 0x30303030));
    store<u32>(seconds, y & 0x3f3f3f3f);
    store<u32>(seconds + 4, ((low >> 4) & 0x0f0f0f0f) | ((y >> 2) & 0x30303030));
  }
}

/** Words [rows, columns], `stride` bytes from row to row, to [columns, rows] without gaps. */
export function transpose(from: usize, rows: i32, columns: i32, stride: i32, to: usize): void {
  const fours = rows & ~3;
  for (let c = 0; c < columns; c += 16) {
    const end = min(c + 16, columns);
    let r = 0;
    if (c + 16 <= columns) {
      for (; r < fours; r += 4) {
        let a = from + r * stride + (c << 2), o = to + ((c * rows + r) << 2);
        for (let i = 0; i < 16; i += 4, a += 16, o += rows << 4) {
          fourByFour(v128.load(a), v128.load(a + stride), v128.load(a + 2 * stride), v128.load(a + 3 * stride), o, rows << 2);
        }
      }
    }
    for (; r < rows; r++) for (let k = c; k < end; k++) store<i32>(to + ((k * rows + r) << 2), load<i32>(from + r * stride + (k << 2)));
  }
}
