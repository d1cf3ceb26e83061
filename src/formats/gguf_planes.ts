/**
 * Codes of a GGUF block to and from the planes of the record. Blocks store small fields interleaved: in each run of
 * `run` bytes the lowest fields of all bytes come first, then the next. The record stores columns in their own order.
 */

/** Where one plane of a block's codes lies. */
export interface BlockPlane {
  /** Bits a code: 1, 2, 4 or 8. */
  readonly width: number;
  /** First byte in the block. */
  readonly at: number;
  /**
   * Field r (from the lowest bit) of byte l of a run is column r * run + l of the run's columns. Run 1 is columns in their
   * own order. A multiple of 32 / width otherwise, so that a word takes its codes from one field of consecutive bytes.
   */
  readonly run: number;
  /** The word is XORed with this: 0x80808080 makes signed bytes codes with zero 128. */
  readonly flip?: number;
}

/** Rows of blocks, one after the other from the beginning of a view. */
export interface BlockRows {
  readonly rows: number;
  /** Blocks in a row. */
  readonly perRow: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** Weights in a block. */
  readonly elements: number;
}

/** Reads one plane of all blocks: row n into out[to + n * rowWords ...]. Most files go through gguf_gather.ts instead, which is faster. */
export function gatherPlane(view: DataView, blocks: BlockRows, plane: BlockPlane, out: Uint32Array, to: number, rowWords: number): void {
  const read = plane.run === 1 ? copyWords : fields;
  for (let n = 0, from = plane.at; n < blocks.rows; n++, from += blocks.perRow * blocks.bytes) {
    read(view, from, blocks, plane, out, to + n * rowWords);
  }
}

type ReadRow = (view: DataView, from: number, blocks: BlockRows, plane: BlockPlane, out: Uint32Array, at: number) => void;

const copyWords: ReadRow = (view, from, {perRow, bytes, elements}, {width, flip = 0}, out, at) => {
  const words = (elements * width) >>> 5;
  let to = at;
  for (let b = 0, block = from; b < perRow; b++, block += bytes) {
    for (let w = 0; w < words; w++) out[to++] = view.getInt32(block + 4 * w, true) ^ flip;
  }
};

/** Any width. */
const fields: ReadRow = (view, from, {perRow, bytes, elements}, {width, run}, out, at) => {
  const field = Math.imul(0x01010101, (1 << width) - 1);
  const pairs = Math.imul(0x00010001, (1 << (2 * width)) - 1);
  const quad = (1 << (4 * width)) - 1;
  const near = 8 - width;
  const far = 16 - 2 * width;
  const span = (elements * width) >>> 3;
  let to = at;
  for (let b = 0, block = from; b < perRow; b++, block += bytes) {
    for (let start = block; start < block + span; start += run) {
      for (let shift = 0; shift < 8; shift += width) {
        for (let l = start; l < start + run; ) {
          let word = 0;
          for (let j = 0; j < 32; j += 4 * width, l += 4) {
            let x = (view.getInt32(l, true) >>> shift) & field;
            x = (x | (x >>> near)) & pairs;
            x = (x | (x >>> far)) & quad;
            word |= x << j;
          }
          out[to++] = word;
        }
      }
    }
  }
};

/** The inverse for the block at byte `block` of `view`, whose bytes must be zero before. */
export function scatterPlane(words: Uint32Array, from: number, plane: BlockPlane, columns: number, view: DataView, block: number): void {
  const {width, run} = plane;
  const to = block + plane.at;
  const count = (columns * width) >>> 5;
  if (run === 1) {
    const flip = plane.flip ?? 0;
    for (let w = 0; w < count; w++) view.setUint32(to + 4 * w, (words[from + w] as number) ^ flip, true);
    return;
  }
  const field = Math.imul(0x01010101, (1 << width) - 1);
  const pairs = Math.imul(0x00010001, (1 << (2 * width)) - 1);
  const quad = (1 << (4 * width)) - 1;
  const near = 8 - width;
  const far = 16 - 2 * width;
  const end = to + count * 4;
  let at = from;
  for (let start = to; start < end; start += run) {
    for (let shift = 0; shift < 8; shift += width) {
      for (let l = start; l < start + run; ) {
        const word = words[at++] as number;
        for (let j = 0; j < 32; j += 4 * width, l += 4) {
          let x = (word >>> j) & quad;
          x = (x | (x << far)) & pairs;
          x = (x | (x << near)) & field;
          view.setInt32(l, view.getInt32(l, true) | (x << shift), true);
        }
      }
    }
  }
}
