/** Codes between GPTQ's qweight [K * bits / 32, N] (packed along the inputs) and the record's rows. */
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
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

/**
 * Writes the codes of rows `first` on of qweight, all of them unless `rowsMove`. `order` gives the file's column of each stored one, or null.
 * The codes must be zero before.
 */
export function lowerCodes(
  qweight: Uint32Array,
  layout: WeightLayout,
  {bits, planar}: {readonly bits: number; readonly planar: boolean},
  order: Int32Array | null,
  codes: Uint32Array,
  first = 0,
): void {
  const {outDim, inDim} = layout;
  const {rowWords} = sectionsOf(layout);
  const rows = qweight.length / outDim;
  const moves = wordMoves(layout, bits, planar);
  if (order === null && moves !== 'mixed') {
    transposeWords(qweight, rows, outDim, codes, rowWords, moves, first);
    if ((inDim * bits) % 32 !== 0 && moves === null && first + rows === rowWords)
      clearPadding(codes, rowWords, outDim, (inDim * bits) % 32);
    return;
  }
  if (order !== null && moves === null) {
    scatterCodes(qweight, layout, bits, order, codes, first);
    return;
  }
  lowerStreams({words: qweight, step: 1, stride: outDim, bits, planar}, layout, order, codes);
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

/** Zeroes what the file has beyond the last code of a row. */
function clearPadding(codes: Uint32Array, rowWords: number, outDim: number, used: number): void {
  const mask = 2 ** used - 1;
  for (let n = 0; n < outDim; n++) codes[n * rowWords + rowWords - 1]! &= mask;
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
