/** Codes between GPTQ's qweight [K * bits / 32, N] (packed along the inputs) and the record's rows. */
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {transposeWords, untransposeWords} from './packing.js';
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

/** Writes the codes section. `order` gives the file's column of each stored one, or null. */
export function lowerCodes(
  qweight: Uint32Array,
  layout: WeightLayout,
  bits: number,
  planar: boolean,
  order: Int32Array | null,
  codes: Uint32Array,
): void {
  const {outDim, inDim} = layout;
  const {rowWords} = sectionsOf(layout);
  const rows = qweight.length / outDim;
  const moves = wordMoves(layout, bits, planar);
  if (order === null && moves !== 'mixed') {
    transposeWords(qweight, rows, outDim, codes, rowWords, moves);
    if ((inDim * bits) % 32 !== 0 && moves === null) clearPadding(codes, rowWords, outDim, (inDim * bits) % 32);
    return;
  }
  if (order !== null && moves === null) {
    gatherCodes(qweight, outDim, bits, order, codes, rowWords);
    return;
  }
  lowerStreams({words: qweight, step: 1, stride: outDim, bits, planar}, layout, order, codes);
}

/** One plane and an order: every stored word collects its codes from as many rows of qweight. */
function gatherCodes(qweight: Uint32Array, outDim: number, bits: number, order: Int32Array, codes: Uint32Array, rowWords: number): void {
  const perWord = 32 / bits;
  const mask = 2 ** bits - 1;
  for (let n0 = 0; n0 < outDim; n0 += TILE) {
    const n1 = Math.min(n0 + TILE, outDim);
    for (let j = 0; j < order.length; j++) {
      const column = order[j] as number;
      const from = Math.floor(column / perWord) * outDim;
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
