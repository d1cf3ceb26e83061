/** Typed views of the parts of a weight's words, and codes in and out of planes. */
import {codeBits, type Level, type LevelType, sectionsOf, type WeightLayout} from './layout.js';
import type {SpareWords} from './spare_words.js';

/** A level's entries in storage form: codes for the small floats, numbers for float32 and the integers. */
export type LevelView = Float32Array | Uint16Array | Uint8Array | Int8Array;

export interface Parts {
  /** [N, rowWords] */
  readonly codes: Uint32Array;
  /** Each [grid rows * grid columns], row-major. */
  readonly scales: readonly LevelView[];
  readonly offsets: readonly LevelView[];
  readonly zeros: Uint32Array;
  readonly order: Uint32Array;
  readonly groupIndex: Uint32Array;
}

function levelView(type: LevelType, buffer: ArrayBufferLike, byteOffset: number, length: number): LevelView {
  switch (type) {
    case 'float32':
      return new Float32Array(buffer, byteOffset, length);
    case 'float16':
    case 'bfloat16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'int8':
      return new Int8Array(buffer, byteOffset, length);
    default:
      return new Uint8Array(buffer, byteOffset, length);
  }
}

/** Views into `words` (which they share). `words.length` must be `sectionsOf(layout).length`. */
export function partsOf(layout: WeightLayout, words: Int32Array): Parts {
  const sections = sectionsOf(layout);
  const view = (start: number, length: number) => new Uint32Array(words.buffer, words.byteOffset + start * 4, length);
  const level = (l: Level, start: number) =>
    levelView(l.type, words.buffer, words.byteOffset + start * 4, l.grid.shape[0] * l.grid.shape[1]);
  return {
    codes: view(sections.codes.start, sections.codes.length),
    scales: layout.scales.map((l, i) => level(l, (sections.scales[i] as {start: number}).start)),
    offsets: layout.offsets.map((l, i) => level(l, (sections.offsets[i] as {start: number}).start)),
    zeros: view(sections.zeros.start, sections.zeros.length),
    order: view(sections.order.start, sections.order.length),
    groupIndex: view(sections.groupIndex.start, sections.groupIndex.length),
  };
}

/**
 * Zeroed words for a weight of this layout, in spare memory where there is some. `overwritten`: all of every word of the codes will be written, so that
 * what lay there need not be zeroed.
 */
export function allocateWords(layout: WeightLayout, spare?: SpareWords, overwritten = false): Int32Array {
  const {length, codes} = sectionsOf(layout);
  return spare?.take(length, overwritten ? codes.length : 0) ?? new Int32Array(length);
}

type CodeArray = Uint8Array | Uint16Array | Uint32Array;

/** An array that holds `length` codes of this layout, one an element. */
export function codeArray(layout: WeightLayout, length: number): CodeArray {
  const bits = codeBits(layout);
  return bits <= 8 ? new Uint8Array(length) : bits <= 16 ? new Uint16Array(length) : new Uint32Array(length);
}

/** A tensor's values as 32-bit words: those of float32 by their bits. tf.js's cast to float32 leaves integers where they are. */
export function valueWords(dtype: string, values: ArrayLike<number> & ArrayBufferView): Int32Array {
  const {buffer, byteOffset, length} = dtype === 'float32' && !(values instanceof Float32Array) ? Float32Array.from(values) : values;
  return new Int32Array(buffer, byteOffset, length);
}

/**
 * Spreads codes over planes. Plane p of width w takes code i at bits w * i of the run that starts at
 * `start + planeStarts[p]`. The words must be zero before.
 */
export function packRun(
  codes: ArrayLike<number>,
  from: number,
  count: number,
  planes: readonly number[],
  planeStarts: readonly number[],
  out: Uint32Array,
  start: number,
): void {
  let low = 0;
  for (let p = 0; p < planes.length; p++) {
    const width = planes[p] as number;
    let at = start + (planeStarts[p] as number);
    if (width === 32) {
      for (let i = 0; i < count; i++) out[at + i] = codes[from + i] as number;
    } else {
      const mask = (1 << width) - 1;
      for (let i = 0; i < count; ) {
        let word = 0;
        for (let shift = 0; shift < 32 && i < count; shift += width, i++) word |= (((codes[from + i] as number) >>> low) & mask) << shift;
        out[at++] = word;
      }
    }
    low += width;
  }
}

/** The inverse of packRun: `count` codes, beginning with code `first` of the run, into out[to..]. */
export function unpackRun(
  words: Uint32Array,
  start: number,
  planes: readonly number[],
  planeStarts: readonly number[],
  first: number,
  count: number,
  out: CodeArray,
  to: number,
): void {
  let low = 0;
  for (let p = 0; p < planes.length; p++) {
    const width = planes[p] as number;
    const base = start + (planeStarts[p] as number);
    if (width === 32) {
      for (let i = 0; i < count; i++) out[to + i] = words[base + first + i] as number;
    } else {
      const mask = (1 << width) - 1;
      for (let i = 0; i < count; i++) {
        const bit = (first + i) * width;
        const field = ((words[base + (bit >>> 5)] as number) >>> (bit & 31)) & mask;
        if (p === 0) out[to + i] = field;
        else out[to + i] = (out[to + i] as number) | (field << low);
      }
    }
    low += width;
  }
}

/** Writes codes [N * K], one an element, into the codes section. */
export function packCodes(layout: WeightLayout, parts: Parts, codes: ArrayLike<number>): void {
  const {rowWords, planeStarts} = sectionsOf(layout);
  for (let n = 0; n < layout.outDim; n++) {
    packRun(codes, n * layout.inDim, layout.inDim, layout.planes, planeStarts, parts.codes, n * rowWords);
  }
}

/** Codes of row n, stored order, one an element. */
export function unpackRowCodes(layout: WeightLayout, parts: Parts, n: number, out: CodeArray): void {
  const {rowWords, planeStarts} = sectionsOf(layout);
  unpackRun(parts.codes, n * rowWords, layout.planes, planeStarts, 0, layout.inDim, out, 0);
}

/** Writes zero codes, one an element, row-major on the zero grid. */
export function packZeros(layout: WeightLayout, parts: Parts, zeros: ArrayLike<number>): void {
  packRun(zeros, 0, zeros.length, layout.planes, sectionsOf(layout).zeroPlaneStarts, parts.zeros, 0);
}

/** All zero codes, one an element, row-major on the zero grid; empty where the layout has none. */
export function unpackZeros(layout: WeightLayout, parts: Parts): CodeArray {
  const count = layout.zero.kind === 'codes' ? layout.zero.grid.shape[0] * layout.zero.grid.shape[1] : 0;
  const out = codeArray(layout, count);
  unpackRun(parts.zeros, 0, layout.planes, sectionsOf(layout).zeroPlaneStarts, 0, count, out, 0);
  return out;
}
