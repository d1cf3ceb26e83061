/** How a row of codes is walked: chunks of columns that are loaded together, steps of columns that share every scale. */
import {commonRun, gcd, gridsOf, sectionsOf, type WeightLayout} from '../layout.js';
import {remember} from '../memo.js';

export interface Chunking {
  /** Columns of a chunk, a multiple of 4. */
  readonly columns: number;
  /** Columns that share their entries of all grids; divides `columns`. */
  readonly step: number;
  /** Chunks that share their entries of all grids; 1 where a chunk has several steps. 0: all of them. */
  readonly group: number;
  /** Chunks of a row. */
  readonly count: number;
  /** The last chunk sticks out of the row, so words past its end must not be read as codes. */
  readonly guarded: boolean;
  /** Words of a chunk in each plane. */
  readonly words: readonly number[];
  /** Whether a plane's words of a chunk are one aligned vec4. */
  readonly vector: readonly boolean[];
}

/** Columns whose codes fill whole words and whole vec4 of x. */
const smallestRun = (width: number) => Math.max(4, 32 / width);

/** Columns of a chunk by the width of the first plane: 4 words where that is not too many registers. */
const WIDEST: Readonly<Record<number, number>> = {1: 32, 2: 32, 4: 32, 8: 16, 16: 8, 32: 4};

const SHORT = 8;

/** 'long' loads much at once; 'short' is of 8 columns where the planes allow, so that many threads share the decoding of a tile; 'word': see wordOf. */
export type ChunkLength = 'long' | 'short' | 'word';

/** Long decoders are unrolled for one word at a time: shaders of thousands of instructions take seconds to compile. */
function widest(layout: WeightLayout): number {
  const width = layout.planes[0] as number;
  return layout.decode.kind !== 'integer' && width === 4 ? 8 : (WIDEST[width] as number);
}

/**
 * Columns of a chunk where shaders run on a CPU: a word of codes. What is written out for longer ones, row by row, outgrows its cache of decoded
 * instructions: in a loop over words the same instructions take two thirds of the time. Several planes, and offsets, gain nothing.
 */
function wordOf(layout: WeightLayout): number {
  return layout.planes.length === 1 && layout.offsets.length === 0 ? 0 : widest(layout);
}

const most = {long: widest, short: () => SHORT, word: wordOf};

const caches = {
  long: new WeakMap<WeightLayout, Chunking | null>(),
  short: new WeakMap<WeightLayout, Chunking | null>(),
  word: new WeakMap<WeightLayout, Chunking | null>(),
};

/** null, at any length: groups are uneven, or begin inside a word. */
export function chunkingOf(layout: WeightLayout, length: ChunkLength = 'long'): Chunking | null {
  return remember(caches[length], layout, () => compute(layout, most[length](layout)));
}

function compute(layout: WeightLayout, most: number): Chunking | null {
  const smallest = Math.max(...layout.planes.map(smallestRun));
  if (gridsOf(layout).some((g) => g.indexed && g.shape[1] > 1)) return null;
  // Differences of 32-bit codes are no float32 numbers before they are subtracted.
  if (layout.planes[0] === 32 && layout.zero.kind === 'codes') return null;
  // 0 where no grid has columns: one entry a row.
  const shared = commonRun(layout);
  if (shared % smallest !== 0) return null;
  let columns = Math.max(smallest, most);
  while (columns > smallest && layout.inDim % columns !== 0) columns /= 2;
  const step = shared === 0 ? columns : gcd(columns, shared);
  const {rowWords, planeStarts} = sectionsOf(layout);
  const words = layout.planes.map((width) => (columns * width) / 32);
  return {
    columns,
    step,
    group: shared === 0 ? 0 : step < columns ? 1 : shared / columns,
    count: Math.ceil(layout.inDim / columns),
    guarded: layout.inDim % columns !== 0,
    words,
    vector: words.map((n, p) => n === 4 && rowWords % 4 === 0 && (planeStarts[p] as number) % 4 === 0),
  };
}

/** What is subtracted from every integer code, where no zero of its own is. */
export function centerOf({decode, zero}: WeightLayout): number {
  return decode.kind === 'integer' && zero.kind === 'constant' ? zero.value : 0;
}
