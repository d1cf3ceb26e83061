/** Cuts the record: codes, scales, zeros and order together, so that a slice reads as the same part of the whole. */
import {UnsupportedError} from '../src/errors.js';
import {type Grid, gridsOf, sectionsOf, type WeightLayout, withGrids} from './layout.js';
import {allocateWords, codeArray, packCodes, packZeros, partsOf, unpackRun, unpackZeros} from './words.js';

/** [begin, end) */
export type Range = readonly [number, number];

interface GridCut {
  readonly grid: Grid;
  /** Entries of the old grid that the new one keeps. */
  readonly rows: Range;
  readonly columns: Range;
}

/** Rows and (file-order) columns of a weight, as new words. */
export function sliceWords(
  layout: WeightLayout,
  words: Int32Array,
  rows: Range,
  columns: Range,
): {layout: WeightLayout; words: Int32Array} {
  const parts = partsOf(layout, words);
  const whole = columns[0] === 0 && columns[1] === layout.inDim;
  // Stored positions that stay, in stored order.
  const kept: number[] = [];
  for (let j = 0; j < layout.inDim; j++) {
    const column = layout.ordered ? (parts.order[j] as number) : j;
    if (column >= columns[0] && column < columns[1]) kept.push(j);
  }
  const scattered = layout.ordered && !whole;
  const columnGroups = scattered ? groupsOf(layout, parts.groupIndex, kept) : null;
  const cut = (grid: Grid) => cutGrid(grid, rows, columns, layout, columnGroups !== null);
  const zeroCut = layout.zero.kind === 'codes' ? cut(layout.zero.grid) : null;
  const newLayout: WeightLayout = {
    ...withGrids(layout, (g) => cut(g).grid),
    outDim: rows[1] - rows[0],
    inDim: kept.length,
    indexed: layout.indexed || columnGroups !== null,
  };
  const out = allocateWords(newLayout);
  const newParts = partsOf(newLayout, out);
  copyCodes(layout, parts.codes, newLayout, newParts, rows, kept, whole);
  layout.scales.forEach((l, i) => copyGrid(l.grid, cut(l.grid), parts.scales[i] as Uint8Array, newParts.scales[i] as Uint8Array));
  layout.offsets.forEach((l, i) => copyGrid(l.grid, cut(l.grid), parts.offsets[i] as Uint8Array, newParts.offsets[i] as Uint8Array));
  if (layout.zero.kind === 'codes' && zeroCut !== null) {
    const zeros = codeArray(layout, zeroCut.grid.shape[0] * zeroCut.grid.shape[1]);
    copyGrid(layout.zero.grid, zeroCut, unpackZeros(layout, parts), zeros);
    packZeros(newLayout, newParts, zeros);
  }
  if (layout.ordered) kept.forEach((j, i) => (newParts.order[i] = (parts.order[j] as number) - columns[0]));
  if (columnGroups !== null) newParts.groupIndex.set(columnGroups);
  else if (layout.indexed) kept.forEach((j, i) => (newParts.groupIndex[i] = parts.groupIndex[j] as number));
  return {layout: newLayout, words: out};
}

/** The group of each kept stored column: after a cut of a permuted weight the groups are uneven. null where no grid has several. Throws UnsupportedError. */
export function groupsOf(layout: WeightLayout, groupIndex: Uint32Array, kept: readonly number[]): number[] | null {
  const inner = gridsOf(layout).filter((g) => g.shape[1] > 1);
  const first = inner[0];
  if (first === undefined) return null;
  if (inner.some((g) => g.columns !== first.columns || g.columnPhase !== first.columnPhase || g.indexed !== first.indexed)) {
    throw new UnsupportedError({
      where: 'cut of columns',
      expected: 'one group size along the columns of a weight with a column order of its own',
      received: inner.map((g) => g.columns).join(', '),
      remedy: 'Cut rows instead.',
    });
  }
  return kept.map((j) => (first.indexed ? (groupIndex[j] as number) : Math.floor((j + first.columnPhase) / first.columns)));
}

function cutGrid(grid: Grid, rows: Range, columns: Range, layout: WeightLayout, indexed: boolean): GridCut {
  const [rowRange, rowPhase] = cutAxis(grid.rows, grid.rowPhase, rows);
  if (grid.indexed || (indexed && grid.shape[1] > 1)) {
    // Every column entry stays: groupIndex may name any of them.
    const all: Range = [0, grid.shape[1]];
    return {
      grid: {...grid, rowPhase, indexed: true, columnPhase: 0, shape: [rowRange[1] - rowRange[0], all[1]]},
      rows: rowRange,
      columns: all,
    };
  }
  const [columnRange, columnPhase] = layout.ordered
    ? [[0, grid.shape[1]] as Range, grid.columnPhase]
    : cutAxis(grid.columns, grid.columnPhase, columns);
  return {
    grid: {...grid, rowPhase, columnPhase, shape: [rowRange[1] - rowRange[0], columnRange[1] - columnRange[0]]},
    rows: rowRange,
    columns: columnRange,
  };
}

function cutAxis(size: number, phase: number, [begin, end]: Range): [Range, number] {
  const first = Math.floor((begin + phase) / size);
  const last = end === begin ? first : Math.floor((end - 1 + phase) / size) + 1;
  return [[first, last], begin + phase - first * size];
}

function copyGrid(from: Grid, cut: GridCut, old: ArrayLike<number>, out: {[i: number]: number}): void {
  let at = 0;
  for (let r = cut.rows[0]; r < cut.rows[1]; r++) {
    for (let c = cut.columns[0]; c < cut.columns[1]; c++) out[at++] = old[r * from.shape[1] + c] as number;
  }
}

function copyCodes(
  layout: WeightLayout,
  codes: Uint32Array,
  newLayout: WeightLayout,
  newParts: ReturnType<typeof partsOf>,
  rows: Range,
  kept: readonly number[],
  whole: boolean,
): void {
  const {rowWords, planeStarts} = sectionsOf(layout);
  if (whole) {
    newParts.codes.set(codes.subarray(rows[0] * rowWords, rows[1] * rowWords));
    return;
  }
  const first = kept[0];
  if (!layout.ordered && first !== undefined && layout.planes.every((bits) => (first * bits) % 32 === 0)) {
    copyWords(layout, codes, newLayout, newParts, rows, first);
    return;
  }
  const row = codeArray(layout, layout.inDim);
  const out = codeArray(layout, newLayout.outDim * kept.length);
  for (let n = rows[0], at = 0; n < rows[1]; n++) {
    unpackRun(codes, n * rowWords, layout.planes, planeStarts, 0, layout.inDim, row, 0);
    for (const j of kept) out[at++] = row[j] as number;
  }
  packCodes(newLayout, newParts, out);
}

/** Columns from one that begins a word of every plane: whole words, the last one cleared past the end. */
function copyWords(
  layout: WeightLayout,
  codes: Uint32Array,
  newLayout: WeightLayout,
  newParts: ReturnType<typeof partsOf>,
  rows: Range,
  first: number,
): void {
  const [from, to] = [sectionsOf(layout), sectionsOf(newLayout)];
  layout.planes.forEach((bits, p) => {
    const count = newLayout.inDim * bits;
    const words = Math.ceil(count / 32);
    const mask = count % 32 === 0 ? -1 : 2 ** (count % 32) - 1;
    const skipped = (from.planeStarts[p] as number) + (first * bits) / 32;
    for (let n = rows[0], at = to.planeStarts[p] as number; n < rows[1]; n++, at += to.rowWords) {
      const begin = n * from.rowWords + skipped;
      newParts.codes.set(codes.subarray(begin, begin + words), at);
      const last = at + words - 1;
      newParts.codes[last] = (newParts.codes[last] as number) & mask;
    }
  });
}
