/** A small WebAssembly module with memory of its own that brings codes from the order of a file into that of a record, whatever backend takes them. */
import {LOWERING} from './wasm/generated/binary.js';
import {decodeHex} from './wasm/module.js';

/** Addresses and counts are integers; see wasm/assembly/lowering.ts for what each is. */
interface LoweringExports {
  readonly memory: WebAssembly.Memory;
  gatherFields(
    from: number,
    rows: number,
    blocks: number,
    stride: number,
    span: number,
    run: number,
    width: number,
    to: number,
    toStride: number,
  ): void;
  gatherWords(from: number, rows: number, blocks: number, stride: number, span: number, flip: number, to: number, toStride: number): void;
  gatherHalves(from: number, blocks: number, stride: number, flip: number, to: number): number;
  gatherSixes(from: number, blocks: number, stride: number, firsts: number, seconds: number): void;
  transpose(from: number, rows: number, columns: number, stride: number, to: number): void;
}

/** Bytes of its memory for what comes in, and for what goes out after them: both in a processor's second cache. */
export const IN_BYTES = 224 * 2 ** 10;
export const OUT_BYTES = 288 * 2 ** 10;

/** Words of a cache line. */
const LINE = 16;
/** Rows transposed at a time: several lines of what comes out. */
const MOST_ROWS = 128;
/** A run of fewer words is copied by a loop sooner than by a call. */
const SHORT_ROWS = 24;

export class LoweringModule {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;

  constructor(readonly exports: LoweringExports) {
    const {buffer} = exports.memory;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
  }
}

let made: LoweringModule | null | undefined;

/** null where the engine has no SIMD, or a page's policy no WebAssembly: plain loops do the same. */
export function loweringModule(): LoweringModule | null {
  if (made === undefined) {
    try {
      made = new LoweringModule(
        new WebAssembly.Instance(new WebAssembly.Module(decodeHex(LOWERING.hex))).exports as unknown as LoweringExports,
      );
    } catch {
      made = null;
    }
  }
  return made;
}

/**
 * Transposes words [rows, columns] into `out`: out[c * stride + first + r] = words[r, c]. Rows are laid apart by a cache line more than they are long:
 * with rows of a power of two all would fall into the same few sets of a cache.
 */
export function transposeWith(
  {exports, words: memory}: LoweringModule,
  words: Uint32Array,
  rows: number,
  columns: number,
  out: Uint32Array,
  stride: number,
  first: number,
): void {
  for (let r0 = 0; r0 < rows; r0 += MOST_ROWS) {
    const height = Math.min(MOST_ROWS, rows - r0);
    const most = (IN_BYTES / 4 / height - LINE) & -LINE;
    for (let c0 = 0; c0 < columns; c0 += most) {
      const width = Math.min(most, columns - c0);
      const apart = width + LINE;
      for (let r = 0, from = r0 * columns + c0; r < height; r++, from += columns) memory.set(words.subarray(from, from + width), r * apart);
      exports.transpose(0, height, width, apart * 4, IN_BYTES);
      const transposed = memory.subarray(IN_BYTES / 4, IN_BYTES / 4 + width * height);
      const to = c0 * stride + first + r0;
      if (height === stride) out.set(transposed, to);
      else if (height >= SHORT_ROWS)
        for (let c = 0; c < width; c++) out.set(transposed.subarray(c * height, (c + 1) * height), to + c * stride);
      else for (let c = 0; c < width; c++) for (let r = 0; r < height; r++) out[to + c * stride + r] = transposed[c * height + r] as number;
    }
  }
}
