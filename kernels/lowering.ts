/**
 * A small WebAssembly module that brings codes from the order of a file into that of a record. It has memory of its own, whatever backend takes the
 * record, or runs in that of tf.js's wasm backend, where it writes the record in place.
 */
import {LOWERING} from './wasm/generated/binary.js';
import {binary, isShared} from './wasm/module.js';

/** Addresses and counts are integers; see wasm/assembly/lowering.ts for what each is. */
interface LoweringExports {
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
  gatherSixes(from: number, blocks: number, stride: number, kind: number, to: number): void;
  transpose(from: number, rows: number, columns: number, stride: number, to: number, toStride: number): void;
}

/** Bytes of its area for what comes in, and for what goes out after them: both in a processor's second cache. */
export const IN_BYTES = 224 * 2 ** 10;
export const OUT_BYTES = 288 * 2 ** 10;
export const AREA_BYTES = IN_BYTES + OUT_BYTES;

/** Words of a cache line. */
const LINE = 16;
/** Rows transposed at a time: several lines of what comes out. */
const MOST_ROWS = 128;
/** A run of fewer words is copied by a loop sooner than by a call. */
const SHORT_ROWS = 24;

export class LoweringModule {
  readonly exports: LoweringExports;
  private view = new Uint8Array(0);

  /** at: address of its area, AREA_BYTES long. Throws where the engine has no SIMD, or a page's policy no WebAssembly. */
  constructor(
    private readonly memory: WebAssembly.Memory,
    readonly at: number,
  ) {
    const module = new WebAssembly.Module(binary(LOWERING, isShared(memory)));
    this.exports = new WebAssembly.Instance(module, {env: {memory}}).exports as unknown as LoweringExports;
  }

  /** All of its memory; made anew where that has grown, which detaches old views. */
  get bytes(): Uint8Array {
    const {buffer} = this.memory;
    if (this.view.buffer !== buffer) this.view = new Uint8Array(buffer);
    return this.view;
  }

  /** Address of an array that lies in this memory, or null. */
  addressOf({buffer, byteOffset}: ArrayBufferView): number | null {
    return buffer === this.memory.buffer ? byteOffset : null;
  }

  /** Lets `write` put `length` bytes at an address, and has them in `target` from byte `first` on afterwards. → what `write` returns */
  into<T>(target: ArrayBufferView, first: number, length: number, write: (address: number) => T): T {
    const place = this.addressOf(target);
    if (place !== null) return write(place + first);
    const out = this.at + IN_BYTES;
    const answer = write(out);
    new Uint8Array(target.buffer, target.byteOffset + first, length).set(this.bytes.subarray(out, out + length));
    return answer;
  }
}

let own: LoweringModule | null | undefined;

/** The one with memory of its own; null where there is none: plain loops do the same. */
export function loweringModule(): LoweringModule | null {
  if (own === undefined) {
    try {
      const pages = AREA_BYTES / 65_536;
      own = new LoweringModule(new WebAssembly.Memory({initial: pages, maximum: pages}), 0);
    } catch {
      own = null;
    }
  }
  return own;
}

/**
 * Transposes words [rows, columns] into `out`: out[c * stride + first + r] = words[r, c]. The first rows may lie apart, in `before`. Rows are laid apart by a cache line more than they are long:
 * with rows of a power of two all would fall into the same few sets of a cache.
 */
export function transposeWith(
  module: LoweringModule,
  words: Uint32Array,
  rows: number,
  columns: number,
  out: Uint32Array,
  stride: number,
  first: number,
  before = new Uint32Array(0),
): void {
  const {exports, at, bytes} = module;
  const apartRows = before.length / columns;
  const memory = new Uint32Array(bytes.buffer, at, AREA_BYTES / 4);
  const place = module.addressOf(out);
  for (let r0 = 0; r0 < rows; r0 += MOST_ROWS) {
    const height = Math.min(MOST_ROWS, rows - r0);
    const most = (IN_BYTES / 4 / height - LINE) & -LINE;
    for (let c0 = 0; c0 < columns; c0 += most) {
      const width = Math.min(most, columns - c0);
      const apart = width + LINE;
      for (let r = 0; r < height; r++) {
        const row = r0 + r;
        const from = (row < apartRows ? row : row - apartRows) * columns + c0;
        memory.set((row < apartRows ? before : words).subarray(from, from + width), r * apart);
      }
      const to = c0 * stride + first + r0;
      if (place !== null) {
        exports.transpose(at, height, width, apart * 4, place + to * 4, stride * 4);
        continue;
      }
      exports.transpose(at, height, width, apart * 4, at + IN_BYTES, height * 4);
      const transposed = memory.subarray(IN_BYTES / 4, IN_BYTES / 4 + width * height);
      if (height === stride) out.set(transposed, to);
      else if (height >= SHORT_ROWS)
        for (let c = 0; c < width; c++) out.set(transposed.subarray(c * height, (c + 1) * height), to + c * stride);
      else for (let c = 0; c < width; c++) for (let r = 0; r < height; r++) out[to + c * stride + r] = transposed[c * height + r] as number;
    }
  }
}
