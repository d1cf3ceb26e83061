/**
 * AWQ's order of 4-bit fields: field p of a word (bits 4p..4p+3) is output 8c + ORDER[p] of word column c. Packed along the
 * OUTPUTS, so that lowering transposes 8 x 8 fields.
 */

/** Output within a word of each field, low bits first. */
export const ORDER = [0, 2, 4, 6, 1, 3, 5, 7] as const;

const TILE = 16; // words of one cache line, each way
const block = new Int32Array(8);

/** Transposes the 8 x 8 matrix of 4-bit fields in `block`: afterwards field r of word p is what was field p of word r. */
function transposeFields(): void {
  exchange(4, 16, 0x0000ffff);
  exchange(2, 8, 0x00ff00ff);
  exchange(1, 4, 0x0f0f0f0f);
}

function exchange(distance: number, shift: number, mask: number): void {
  for (let r = 0; r < 8; r++) {
    if ((r & distance) !== 0) continue;
    const low = block[r] as number;
    const high = block[r + distance] as number;
    const change = ((low >>> shift) ^ high) & mask;
    block[r + distance] = high ^ change;
    block[r] = low ^ (change << shift);
  }
}

/** qweight [K, N / 8] -> codes, N rows of `rowWords` words. */
export function lowerInterleaved(qweight: Uint32Array, inDim: number, outDim: number, codes: Uint32Array, rowWords: number): void {
  const columns = outDim / 8;
  visit(outDim, rowWords, (c, j) => {
    for (let r = 0; r < 8; r++) block[r] = j * 8 + r < inDim ? (qweight[(j * 8 + r) * columns + c] as number) : 0;
    transposeFields();
    for (let p = 0; p < 8; p++) codes[(c * 8 + (ORDER[p] as number)) * rowWords + j] = block[p] as number;
  });
}

/** The inverse. */
export function raiseInterleaved(codes: Uint32Array, inDim: number, outDim: number, rowWords: number): Uint32Array {
  const columns = outDim / 8;
  const qweight = new Uint32Array(inDim * columns);
  visit(outDim, rowWords, (c, j) => {
    for (let p = 0; p < 8; p++) block[p] = codes[(c * 8 + (ORDER[p] as number)) * rowWords + j] as number;
    transposeFields();
    for (let r = 0; r < 8 && j * 8 + r < inDim; r++) qweight[(j * 8 + r) * columns + c] = block[r] as number;
  });
  return qweight;
}

/** Calls `at` for every word column and every run of 8 inputs, tile by tile. */
function visit(outDim: number, rowWords: number, at: (column: number, run: number) => void): void {
  const columns = outDim / 8;
  for (let c0 = 0; c0 < columns; c0 += TILE) {
    for (let j0 = 0; j0 < rowWords; j0 += TILE) {
      for (let j = j0; j < Math.min(j0 + TILE, rowWords); j++) {
        for (let c = c0; c < Math.min(c0 + TILE, columns); c++) at(c, j);
      }
    }
  }
}

/** Zero codes [groups, N / 8] words -> [groups, N]. */
export function unpackInterleaved(words: Uint32Array, out: Uint8Array): void {
  for (let w = 0; w < words.length; w++) {
    for (let p = 0; p < 8; p++) out[w * 8 + (ORDER[p] as number)] = ((words[w] as number) >>> (4 * p)) & 15;
  }
}

export function packInterleaved(zeros: ArrayLike<number>): Uint32Array {
  const words = new Uint32Array(zeros.length / 8);
  for (let w = 0; w < words.length; w++) {
    for (let p = 0; p < 8; p++) words[w]! |= (zeros[w * 8 + (ORDER[p] as number)] as number) << (4 * p);
  }
  return words;
}
