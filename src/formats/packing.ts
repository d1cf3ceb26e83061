/**
 * Codes between a file's bit packing and the record's planes. Lowering runs over whole models, so the usual widths
 * move words, and only the others go through one code an element.
 */
import {loweringModule, transposeWith} from '../../kernels/lowering.js';

/** Planes of a code, low plane first, for 1 to 8 bits. */
export const PLANES: Readonly<Record<number, readonly number[]>> = {
  1: [1],
  2: [2],
  3: [2, 1],
  4: [4],
  5: [4, 1],
  6: [4, 2],
  7: [4, 2, 1],
  8: [8],
};

const BLOCK = 16; // 64 bytes of words: one cache line each way

/**
 * Transposes words [rows, columns] into rows of `out`: out[c * stride + to(first + r)] = words[r, c], where to(r) is
 * `destination[r]`, or r.
 */
export function transposeWords(
  words: Uint32Array,
  rows: number,
  columns: number,
  out: Uint32Array,
  stride: number,
  destination: ArrayLike<number> | null = null,
  first = 0,
  module = loweringModule(),
): void {
  if (destination === null && module !== null) {
    transposeWith(module, words, rows, columns, out, stride, first);
    return;
  }
  for (let c0 = 0; c0 < columns; c0 += BLOCK) {
    const c1 = Math.min(c0 + BLOCK, columns);
    for (let r = 0; r < rows; r++) {
      const to = destination === null ? first + r : (destination[first + r] as number);
      for (let c = c0; c < c1; c++) out[c * stride + to] = words[r * columns + c] as number;
    }
  }
}

/** The inverse of transposeWords: back[r, c] = words[c * stride + to(r)]. */
export function untransposeWords(
  words: Uint32Array,
  stride: number,
  back: Uint32Array,
  rows: number,
  columns: number,
  destination: ArrayLike<number> | null = null,
): void {
  for (let c0 = 0; c0 < columns; c0 += BLOCK) {
    const c1 = Math.min(c0 + BLOCK, columns);
    for (let r = 0; r < rows; r++) {
      const to = destination === null ? r : (destination[r] as number);
      for (let c = c0; c < c1; c++) back[r * columns + c] = words[c * stride + to] as number;
    }
  }
}

interface Entries {
  readonly length: number;
  [i: number]: number;
}

/** [rows, columns] -> [columns, rows] of any small array (scales, zero codes). */
export function transpose(from: ArrayLike<number>, rows: number, columns: number, to: Entries): void {
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) to[c * rows + r] = from[r * columns + c] as number;
}

/**
 * `count` codes of a dense little-endian bit stream whose word i is words[base + i * stride], into out[to..].
 * Codes may straddle words.
 */
export function unpackStream(
  words: Uint32Array,
  base: number,
  stride: number,
  bits: number,
  count: number,
  out: Uint8Array,
  to: number,
): void {
  const mask = (1 << bits) - 1;
  let at = base;
  let word = count === 0 ? 0 : (words[at] as number);
  let shift = 0;
  for (let i = 0; i < count; i++) {
    let code = word >>> shift;
    shift += bits;
    if (shift >= 32) {
      shift -= 32;
      at += stride;
      word = at < words.length ? (words[at] as number) : 0;
      if (shift > 0) code |= word << (bits - shift);
    }
    out[to + i] = code & mask;
  }
}

/** The inverse of unpackStream. The words must be zero before. */
export function packStream(
  codes: ArrayLike<number>,
  from: number,
  count: number,
  bits: number,
  words: Uint32Array,
  base: number,
  stride: number,
): void {
  let at = base;
  let word = 0;
  let shift = 0;
  for (let i = 0; i < count; i++) {
    const code = codes[from + i] as number;
    word |= code << shift;
    shift += bits;
    if (shift >= 32) {
      words[at] = word;
      at += stride;
      shift -= 32;
      word = shift > 0 ? code >>> (bits - shift) : 0;
    }
  }
  if (shift > 0) words[at] = word;
}

/** As unpackStream, for words packed in planes: each run of 32 codes takes one word a bit, low plane first. */
export function unpackPlanar(
  words: Uint32Array,
  base: number,
  stride: number,
  planes: readonly number[],
  count: number,
  out: Uint8Array,
  to: number,
): void {
  let at = base;
  for (let run = 0; run < count; run += 32) {
    let low = 0;
    for (const width of planes) {
      const mask = (1 << width) - 1;
      for (let i = 0; i < 32; i++) {
        if (run + i >= count) continue;
        const field = ((words[at + ((i * width) >>> 5) * stride] as number) >>> ((i * width) & 31)) & mask;
        out[to + run + i] = low === 0 ? field : (out[to + run + i] as number) | (field << low);
      }
      low += width;
      at += width * stride;
    }
  }
}

/** The inverse of unpackPlanar. The words must be zero before. */
export function packPlanar(
  codes: ArrayLike<number>,
  from: number,
  count: number,
  planes: readonly number[],
  words: Uint32Array,
  base: number,
  stride: number,
): void {
  let at = base;
  for (let run = 0; run < count; run += 32) {
    let low = 0;
    for (const width of planes) {
      const mask = (1 << width) - 1;
      for (let i = 0; i < 32 && run + i < count; i++) {
        words[at + ((i * width) >>> 5) * stride]! |= (((codes[from + run + i] as number) >>> low) & mask) << ((i * width) & 31);
      }
      low += width;
      at += width * stride;
    }
  }
}
