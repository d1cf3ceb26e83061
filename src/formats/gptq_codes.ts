/** Codes between GPTQ's qweight [K * bits / 32, N] (packed along the inputs) and the record's rows. */
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {transposeWith} from '../../kernels/lowering.js';
import type {RecordWords} from '../../kernels/record_words.js';
import {PLANES, transposeWords, untransposeWords} from './packing.js';
import {lowerStreams, raiseStreams} from './stream_codes.js';

const TILE = 16; // columns of qweight in one cache line

/** Where row r of qweight goes in a record row, if its words only move: one plane as it is, planes run by run; else null. */
function wordMoves(layout: WeightLayout, bits: number, planar: boolean): Int32Array | null | 'mixed' {
  if (layout.planes.length === 1) return null;
  if (!planar) return 'mixed';
  const {planeStarts} = sectionsOf(layout);
  const destination = new Int32Array((layout.inDim * bits) / 32);
  for (let r = 0; r < destination.length; r++) {
    const run = Math.floor(r / bits);
    let within = r % bits;
    let p = 0;
    while (within >= (layout.planes[p] as number)) within -= layout.planes[p++] as number;
    destination[r] = (planeStarts[p] as number) + run * (layout.planes[p] as number) + within;
  }
  return destination;
}

/** Whether rows of qweight can be lowered a few at a time: each word holds whole codes of one plane. */
export function rowsMove(bits: number): boolean {
  return (PLANES[bits] as readonly number[]).length === 1;
}

/** Fewer rows wait for those that follow: each time, all of the record is gone through. */
const FEW_ROWS = 16;

/**
 * Writes the codes of qweight's rows as they come, all at once unless `rowsMove`. `order` gives the file's column of each stored one, or null.
 * The codes must be zero before, unless all words of a row only move.
 */
export class CodeRows {
  private rows = 0;
  private waiting = new Uint32Array(0);
  private readonly moves: ReturnType<typeof wordMoves>;

  constructor(
    private readonly record: RecordWords,
    private readonly layout: WeightLayout,
    private readonly codes: {readonly bits: number; readonly planar: boolean},
    private readonly order: Int32Array | null,
  ) {
    this.moves = wordMoves(layout, codes.bits, codes.planar);
  }

  add(qweight: Uint32Array): void {
    const {waiting, order, moves} = this;
    const {lowering} = this.record;
    const {outDim, inDim} = this.layout;
    const count = (waiting.length + qweight.length) / outDim;
    const isLast = this.rows + count >= Math.ceil((inDim * this.codes.bits) / 32);
    if (order !== null || moves !== null || lowering === null) this.lower(qweight);
    else if (count < FEW_ROWS && !isLast) {
      this.wait(qweight);
      return;
    } else {
      transposeWith(lowering, qweight, count, outDim, this.record.parts.codes, sectionsOf(this.layout).rowWords, this.rows, waiting);
      this.waiting = waiting.subarray(0, 0);
    }
    this.rows += count;
    const used = (inDim * this.codes.bits) % 32;
    if (isLast && used !== 0 && order === null && moves === null) this.clearPadding(used);
  }

  /** A copy: the memory that they came in is used again. */
  private wait(qweight: Uint32Array): void {
    const {waiting} = this;
    const length = waiting.length + qweight.length;
    // Most often one row, in the memory of the one before it.
    const fits = waiting.byteOffset + length * 4 <= waiting.buffer.byteLength;
    this.waiting = fits ? new Uint32Array(waiting.buffer, 0, length) : new Uint32Array(length);
    if (!fits) this.waiting.set(waiting);
    this.waiting.set(qweight, waiting.length);
  }

  private lower(qweight: Uint32Array): void {
    const {layout, codes, order, moves, rows} = this;
    const {parts, lowering} = this.record;
    const {outDim} = layout;
    if (order === null && moves !== 'mixed') {
      transposeWords(qweight, qweight.length / outDim, outDim, parts.codes, sectionsOf(layout).rowWords, moves, rows, lowering);
    } else if (order !== null && moves === null) scatterCodes(qweight, layout, codes.bits, order, parts.codes, rows);
    else lowerStreams({words: qweight, step: 1, stride: outDim, ...codes}, layout, order, parts.codes);
  }

  /** Zeroes what the file has beyond the last code of a row. */
  private clearPadding(used: number): void {
    const {rowWords} = sectionsOf(this.layout);
    const {codes} = this.record.parts;
    const mask = 2 ** used - 1;
    for (let n = 0; n < this.layout.outDim; n++) codes[n * rowWords + rowWords - 1]! &= mask;
  }
}

/** One plane and an order: every code of rows `first` on of qweight goes to a word of its own. */
function scatterCodes(
  qweight: Uint32Array,
  layout: WeightLayout,
  bits: number,
  order: Int32Array,
  codes: Uint32Array,
  first: number,
): void {
  const {outDim, inDim} = layout;
  const {rowWords} = sectionsOf(layout);
  const perWord = 32 / bits;
  const mask = 2 ** bits - 1;
  const rows = qweight.length / outDim;
  const stored = new Int32Array(inDim);
  for (let j = 0; j < inDim; j++) stored[order[j] as number] = j;
  const end = Math.min(inDim, (first + rows) * perWord);
  for (let n0 = 0; n0 < outDim; n0 += TILE) {
    const n1 = Math.min(n0 + TILE, outDim);
    for (let column = first * perWord; column < end; column++) {
      const j = stored[column] as number;
      const from = (Math.floor(column / perWord) - first) * outDim;
      const down = (column % perWord) * bits;
      const up = (j % perWord) * bits;
      const to = Math.floor(j / perWord);
      for (let n = n0; n < n1; n++) codes[n * rowWords + to]! |= (((qweight[from + n] as number) >>> down) & mask) << up;
    }
  }
}

/** qweight of a record's codes. Padding beyond the last code is zero. */
export function raiseCodes(
  layout: WeightLayout,
  bits: number,
  planar: boolean,
  order: Uint32Array | null,
  codes: Uint32Array,
): Uint32Array {
  const {outDim, inDim} = layout;
  const {rowWords} = sectionsOf(layout);
  const rows = Math.ceil((inDim * bits) / 32);
  const qweight = new Uint32Array(rows * outDim);
  const moves = wordMoves(layout, bits, planar);
  if (order === null && moves !== 'mixed') {
    untransposeWords(codes, rowWords, qweight, rows, outDim, moves);
    return qweight;
  }
  raiseStreams({words: qweight, step: 1, stride: outDim, bits, planar}, layout, order, codes);
  return qweight;
}
