/**
 * The layout of a packed weight: everything a kernel needs to read it, as plain data. One weight is ONE int32
 * tensor of 32-bit words; this record says where each part sits and what its numbers mean. It never names a
 * file format.
 *
 *   number  = decode(code)                          code from the planes, low plane first
 *   value   = (number - zero) * scale  (+ offset)   zero only with integer codes
 *   scale   = level 0 (* or / level 1), offset alike; each level on a grid of its own
 *   where level 0 says divide, value = number / scale. Every step rounds to float32.
 *
 * Words, in this order, each section starting on a multiple of 4 words:
 *   codes [N][plane 0 words, plane 1 words ...], scales level 0, 1, offsets level 0, 1, zeros, order [K], groupIndex [K]
 */

export type FloatType =
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'float8_e4m3fn'
  | 'float8_e5m2'
  | 'float8_e4m3fnuz'
  | 'float8_e5m2fnuz'
  | 'float4_e2m1fn';

/** How a code becomes a number. `table` has 16 finite entries (4-bit codes). */
export type Decode =
  | {readonly kind: 'integer'}
  | {readonly kind: 'float'; readonly type: FloatType}
  | {readonly kind: 'table'; readonly table: readonly number[]};

/** What a scale or offset level is stored as. */
export type LevelType = 'float32' | 'float16' | 'bfloat16' | 'float8_e8m0fnu' | 'float8_e4m3fn' | 'int8' | 'uint8';

/**
 * Maps weight position (n, k) to an entry: row floor((n + rowPhase) / rows), column floor((k + columnPhase) / columns),
 * or column groupIndex[k] where `indexed`. k counts columns in stored order (after `order`). A phase is what a cut
 * inside a block leaves.
 */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly rowPhase: number;
  readonly columnPhase: number;
  readonly indexed: boolean;
  /** Entries along N and along K. */
  readonly shape: readonly [number, number];
}

export interface Level {
  readonly grid: Grid;
  readonly type: LevelType;
  /** Level 0: number / scale. Level 1: level 0 / level 1. Offsets never divide. */
  readonly divide: boolean;
}

export type Zero =
  | {readonly kind: 'none'}
  | {readonly kind: 'constant'; readonly value: number}
  /** Integer codes of the weight's own planes, packed as one run of rows*columns entries a plane. */
  | {readonly kind: 'codes'; readonly grid: Grid};

export interface WeightLayout {
  /** N */
  readonly outDim: number;
  /** K */
  readonly inDim: number;
  /** Bits of each plane of a code, low plane first: [4], [2, 1], [4, 1], [4, 2], [4, 2, 1], [8], [16], [32]. */
  readonly planes: readonly number[];
  readonly decode: Decode;
  readonly zero: Zero;
  readonly scales: readonly Level[];
  readonly offsets: readonly Level[];
  /** Stored column j is the file's column order[j]: x is gathered once a call. */
  readonly ordered: boolean;
  /** groupIndex[K] is present: groups are uneven. */
  readonly indexed: boolean;
}

/** A run of words: `start` in words from the beginning of the tensor, `length` words. */
export interface Section {
  readonly start: number;
  readonly length: number;
}

export interface Sections {
  readonly codes: Section;
  /** Words from one row of codes to the next. */
  readonly rowWords: number;
  /** Start of each plane inside a row, in words. */
  readonly planeStarts: readonly number[];
  readonly scales: readonly Section[];
  readonly offsets: readonly Section[];
  readonly zeros: Section;
  /** Start of each plane inside the zeros section, in words. */
  readonly zeroPlaneStarts: readonly number[];
  readonly order: Section;
  readonly groupIndex: Section;
  /** Words in all. */
  readonly length: number;
}

export const LEVEL_BYTES: Readonly<Record<LevelType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e8m0fnu: 1,
  float8_e4m3fn: 1,
  int8: 1,
  uint8: 1,
};

/** A grid over an [outDim, inDim] weight: one entry for `rows` x `columns` weights. */
export function grid(outDim: number, inDim: number, rows: number, columns: number): Grid {
  return {
    rows,
    columns,
    rowPhase: 0,
    columnPhase: 0,
    indexed: false,
    shape: [Math.ceil(outDim / rows), Math.ceil(inDim / columns)],
  };
}

/** Floats as they are, or under one or two levels of scales; [outDim, inDim]. */
export function floatLayout(type: FloatType, outDim: number, inDim: number, scales: readonly Level[] = []): WeightLayout {
  return {
    outDim,
    inDim,
    planes: [type === 'float32' ? 32 : type === 'float16' || type === 'bfloat16' ? 16 : type === 'float4_e2m1fn' ? 4 : 8],
    decode: {kind: 'float', type},
    zero: {kind: 'none'},
    scales,
    offsets: [],
    ordered: false,
    indexed: false,
  };
}

/** Every grid of a layout: of scales, offsets and zero points. */
export function gridsOf({scales, offsets, zero}: WeightLayout): Grid[] {
  const grids = [...scales, ...offsets].map((l) => l.grid);
  return zero.kind === 'codes' ? [...grids, zero.grid] : grids;
}

export function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** The longest run of columns, from any multiple of it, in which no scale, offset or zero changes; 0 where none ever does. */
export function commonRun(layout: WeightLayout): number {
  const runOf = ({shape, indexed, columns, columnPhase}: Grid): number => {
    if (shape[1] <= 1) return 0;
    return indexed ? 1 : gcd(columns, columnPhase);
  };
  return gridsOf(layout).reduce((run, g) => gcd(run, runOf(g)), 0);
}

/** The layout with each of its grids changed. */
export function withGrids(layout: WeightLayout, change: (g: Grid) => Grid): WeightLayout {
  const level = (l: Level): Level => ({...l, grid: change(l.grid)});
  const {scales, offsets, zero} = layout;
  return {
    ...layout,
    scales: scales.map(level),
    offsets: offsets.map(level),
    zero: zero.kind === 'codes' ? {kind: 'codes', grid: change(zero.grid)} : zero,
  };
}

/** Bits of one code. */
export function codeBits(layout: WeightLayout): number {
  return layout.planes.reduce((a, b) => a + b, 0);
}

const sectionsCache = new WeakMap<WeightLayout, Sections>();

/** Where each part of a weight of this layout sits. Computed once a layout. */
export function sectionsOf(layout: WeightLayout): Sections {
  const known = sectionsCache.get(layout);
  if (known !== undefined) return known;
  let end = 0;
  const take = (words: number): Section => {
    const start = words === 0 ? end : (end + 3) & ~3;
    end = start + words;
    return {start, length: words};
  };
  const planeStarts: number[] = [];
  let rowWords = 0;
  for (const bits of layout.planes) {
    planeStarts.push(rowWords);
    rowWords += Math.ceil((layout.inDim * bits) / 32);
  }
  const codes = take(layout.outDim * rowWords);
  const level = (l: Level): Section => take(Math.ceil((l.grid.shape[0] * l.grid.shape[1] * LEVEL_BYTES[l.type]) / 4));
  const scales = layout.scales.map(level);
  const offsets = layout.offsets.map(level);
  const zeroPlaneStarts: number[] = [];
  let zeroWords = 0;
  if (layout.zero.kind === 'codes') {
    const entries = layout.zero.grid.shape[0] * layout.zero.grid.shape[1];
    for (const bits of layout.planes) {
      zeroPlaneStarts.push(zeroWords);
      zeroWords += Math.ceil((entries * bits) / 32);
    }
  }
  const zeros = take(zeroWords);
  const order = take(layout.ordered ? layout.inDim : 0);
  const groupIndex = take(layout.indexed ? layout.inDim : 0);
  const sections = {codes, rowWords, planeStarts, scales, offsets, zeros, zeroPlaneStarts, order, groupIndex, length: end};
  sectionsCache.set(layout, sections);
  return sections;
}
