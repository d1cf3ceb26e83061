/** Cutting a packed record into shards, and putting shards together again: codes, scales, offsets, zeros, order at once. Host side. */
import type * as tf from '@tensorflow/tfjs';
import {type Grid, gcd, type Level, sectionsOf, type WeightLayout, withGrids} from '../../kernels/layout.js';
import type {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {groupsOf, type Range, sliceWords} from '../../kernels/slice.js';
import {
  allocateWords,
  codeArray,
  type LevelView,
  type Parts,
  packCodes,
  packZeros,
  partsOf,
  unpackRowCodes,
  unpackZeros,
  valueWords,
} from '../../kernels/words.js';
import {denseLayout} from '../layers/dense_matmul.js';
import type {DenseWeight} from '../layers/dense_weight.js';
import {indicesOf, lengthOf} from './split.js';
import type {Cut} from './strategy.js';

/** A weight on the host. */
export interface HostRecord {
  readonly layout: WeightLayout;
  readonly words: Int32Array;
}

/** The record behind a weight whose words (or floats) are `values`; a window of rows becomes a record of its own. */
export function recordOf(weight: QuantizedWeight | DenseWeight, values: tf.TypedArray): HostRecord {
  if (!('layout' in weight)) return {layout: denseLayout(weight.outDim, weight.inDim), words: valueWords('float32', values)};
  const words = values as Int32Array;
  const {layout, rowStart, rowEnd} = weight;
  return rowStart === 0 && rowEnd === layout.outDim ? {layout, words} : sliceWords(layout, words, [rowStart, rowEnd], [0, layout.inDim]);
}

/** The rows and columns of a cut as a record of its own. Stored column order aside, it reads as that part of `dequantize()`. */
export function cutRecord(record: HostRecord, cut: Pick<Cut, 'rows' | 'columns'>): HostRecord {
  const rowwise = cut.rows.length === 1 ? (cut.rows[0] as Range) : null;
  const columns = cut.columns.length === 1 ? (cut.columns[0] as Range) : null;
  const everyRow: Range = [0, record.layout.outDim];
  const everyColumn: Range = [0, record.layout.inDim];
  const {layout, words} = sliceWords(record.layout, record.words, rowwise ?? everyRow, columns ?? everyColumn);
  const byRows = rowwise === null ? takeRowRanges({layout, words}, cut.rows) : {layout, words};
  return columns === null ? takeColumnRanges(byRows, cut.columns) : byRows;
}

/** Entries of new grids as (new row, new column) -> (old row, old column) of the weight; a grid reads its entries from one place in each. */
interface Mapping {
  readonly row: (n: number) => number;
  /** Stored columns. */
  readonly column: (j: number) => number;
}

const same = (i: number) => i;

function takeRowRanges(record: HostRecord, ranges: readonly Range[]): HostRecord {
  const rows = indicesOf(ranges);
  const resize = (g: Grid): Grid => {
    const [size, entries] = regrid(g.rows, g.rowPhase, g.shape[0], ranges);
    return {...g, rows: size, rowPhase: 0, shape: [entries, g.shape[1]]};
  };
  const layout = {...withGrids(record.layout, resize), outDim: rows.length};
  const words = allocateWords(layout);
  const [from, to] = [partsOf(record.layout, record.words), partsOf(layout, words)];
  const {rowWords} = sectionsOf(layout);
  rows.forEach((n, i) => to.codes.set(from.codes.subarray(n * rowWords, (n + 1) * rowWords), i * rowWords));
  to.order.set(from.order);
  to.groupIndex.set(from.groupIndex);
  copyGrids(record.layout, from, layout, to, {row: (n) => rows[n] as number, column: same});
  return {layout, words};
}

function takeColumnRanges(record: HostRecord, ranges: readonly Range[]): HostRecord {
  if (record.layout.ordered || record.layout.indexed) return takeOrderedColumns(record, ranges);
  const kept = indicesOf(ranges);
  const resize = (g: Grid): Grid => {
    const [size, entries] = regrid(g.columns, g.columnPhase, g.shape[1], ranges);
    return {...g, columns: size, columnPhase: 0, shape: [g.shape[0], entries]};
  };
  const layout = {...withGrids(record.layout, resize), inDim: kept.length};
  const words = allocateWords(layout);
  const [from, to] = [partsOf(record.layout, record.words), partsOf(layout, words)];
  copyColumns(record.layout, from, layout, to, kept);
  copyGrids(record.layout, from, layout, to, {row: same, column: (j) => kept[j] as number});
  return {layout, words};
}

/** Columns of a weight whose stored order is not the file's: all groups stay, and each kept column names its own. */
function takeOrderedColumns({layout: old, words: oldWords}: HostRecord, ranges: readonly Range[]): HostRecord {
  const from = partsOf(old, oldWords);
  const place = new Map(indicesOf(ranges).map((column, i) => [column, i]));
  const fileColumn = (j: number) => (old.ordered ? (from.order[j] as number) : j);
  const stored = Array.from({length: old.inDim}, (_, j) => j);
  const kept = stored.filter((j) => place.has(fileColumn(j)));
  const groups = groupsOf(old, from.groupIndex, stored);
  const indexGrid = (g: Grid): Grid => (g.shape[1] > 1 ? {...g, indexed: true, columnPhase: 0} : g);
  const layout = {...withGrids(old, indexGrid), inDim: kept.length, ordered: true, indexed: groups !== null};
  const words = allocateWords(layout);
  const to = partsOf(layout, words);
  copyColumns(old, from, layout, to, kept);
  kept.forEach((j, i) => {
    to.order[i] = place.get(fileColumn(j)) as number;
    if (groups !== null) to.groupIndex[i] = groups[j] as number;
  });
  from.scales.forEach((view, i) => (to.scales[i] as LevelView).set(view));
  from.offsets.forEach((view, i) => (to.offsets[i] as LevelView).set(view));
  to.zeros.set(from.zeros);
  return {layout, words};
}

/** Entry size that divides every piece, so that no new entry spans two old ones; and how many there are. */
function regrid(size: number, phase: number, entries: number, ranges: readonly Range[]): [size: number, entries: number] {
  const length = lengthOf(ranges);
  if (entries === 1) return [Math.max(size, length, 1), length === 0 ? 0 : 1];
  let step = size;
  ranges.forEach(([begin, end], i) => {
    step = gcd(step, begin + phase);
    if (i < ranges.length - 1) step = gcd(step, end - begin);
  });
  return [step, Math.ceil(length / step)];
}

function copyColumns(old: WeightLayout, from: Parts, layout: WeightLayout, to: Parts, kept: readonly number[]): void {
  const row = codeArray(old, old.inDim);
  const codes = codeArray(layout, layout.outDim * kept.length);
  for (let n = 0, at = 0; n < layout.outDim; n++) {
    unpackRowCodes(old, from, n, row);
    for (const j of kept) codes[at++] = row[j] as number;
  }
  packCodes(layout, to, codes);
}

function columnEntry(g: Grid, parts: Parts, j: number): number {
  return g.indexed ? (parts.groupIndex[j] as number) : Math.floor((j + g.columnPhase) / g.columns);
}

/** A place of the weight that each entry of a grid stands for: row n and stored column j. -1 where no column has the entry. */
function placesOf(g: Grid, layout: WeightLayout, parts: Parts): {rows: number[]; columns: number[]} {
  const rows = Array.from({length: g.shape[0]}, (_, r) => Math.max(0, r * g.rows - g.rowPhase));
  const columns = new Array<number>(g.shape[1]).fill(-1);
  for (let j = layout.inDim - 1; j >= 0; j--) columns[columnEntry(g, parts, j)] = j;
  return {rows, columns};
}

/** Fills every grid of `layout` from the old weight's entries at the mapped places. */
function copyGrids(old: WeightLayout, from: Parts, layout: WeightLayout, to: Parts, {row, column}: Mapping): void {
  const copy = (g: Grid, values: {[i: number]: number}, oldGrid: Grid, oldValues: ArrayLike<number>) => {
    const places = placesOf(g, layout, to);
    const columns = places.columns.map((j) => columnEntry(oldGrid, from, column(j)));
    places.rows.forEach((n, r) => {
      const oldRow = Math.floor((row(n) + oldGrid.rowPhase) / oldGrid.rows);
      columns.forEach((c, i) => (values[r * g.shape[1] + i] = oldValues[oldRow * oldGrid.shape[1] + c] as number));
    });
  };
  layout.scales.forEach((l, i) => copy(l.grid, to.scales[i] as LevelView, (old.scales[i] as Level).grid, from.scales[i] as LevelView));
  layout.offsets.forEach((l, i) => copy(l.grid, to.offsets[i] as LevelView, (old.offsets[i] as Level).grid, from.offsets[i] as LevelView));
  if (layout.zero.kind === 'codes' && old.zero.kind === 'codes') {
    const zeros = codeArray(layout, layout.zero.grid.shape[0] * layout.zero.grid.shape[1]);
    copy(layout.zero.grid, zeros, old.zero.grid, unpackZeros(old, from));
    packZeros(layout, to, zeros);
  }
}

/**
 * The whole weight from its shards: the inverse of `cutRecord` for cuts that cover it. `layout` is the whole weight's. Within a group of a
 * weight with a column order, columns come in the file's order, so the words may differ from the first ones while every value is the same.
 */
export function joinRecords(layout: WeightLayout, cuts: readonly Cut[], shards: readonly HostRecord[]): Int32Array {
  const words = allocateWords(layout);
  const to = partsOf(layout, words);
  const pieces = shards.map(({layout: own, words: ownWords}, i) => {
    const cut = cuts[i] as Cut;
    const parts = partsOf(own, ownWords);
    const [rows, columns] = [indicesOf(cut.rows), indicesOf(cut.columns)];
    const fileColumns = Array.from({length: own.inDim}, (_, j) => columns[own.ordered ? (parts.order[j] as number) : j] as number);
    return {layout: own, parts, rows, fileColumns};
  });
  const stored = storedColumns(layout, to, pieces);
  const codes = codeArray(layout, layout.outDim * layout.inDim);
  for (const piece of pieces) {
    const row = codeArray(piece.layout, piece.layout.inDim);
    piece.rows.forEach((n, i) => {
      unpackRowCodes(piece.layout, piece.parts, i, row);
      piece.fileColumns.forEach((column, j) => (codes[n * layout.inDim + (stored[column] as number)] = row[j] as number));
    });
  }
  packCodes(layout, to, codes);
  joinGrids(layout, to, pieces, stored);
  return words;
}

interface Piece {
  readonly layout: WeightLayout;
  readonly parts: Parts;
  /** Row of the whole weight for each row. */
  readonly rows: readonly number[];
  /** File column of the whole weight for each stored column. */
  readonly fileColumns: readonly number[];
}

/** Stored place of each file column, with order and groupIndex written: columns by group, then as in the file. */
function storedColumns(layout: WeightLayout, to: Parts, pieces: readonly Piece[]): Int32Array {
  const stored = Int32Array.from({length: layout.inDim}, (_, k) => k);
  if (!layout.ordered && !layout.indexed) return stored;
  const group = new Int32Array(layout.inDim);
  for (const {layout: own, parts, fileColumns} of pieces) {
    if (own.outDim === 0) continue;
    const groups = groupsOf(own, parts.groupIndex, [...fileColumns.keys()]);
    fileColumns.forEach((column, j) => (group[column] = groups?.[j] ?? 0));
  }
  const columns = Array.from(stored);
  if (layout.ordered) columns.sort((a, b) => (group[a] as number) - (group[b] as number) || a - b);
  columns.forEach((column, j) => {
    stored[column] = j;
    if (layout.ordered) to.order[j] = column;
    if (layout.indexed) to.groupIndex[j] = group[column] as number;
  });
  return stored;
}

function joinGrids(layout: WeightLayout, to: Parts, pieces: readonly Piece[], stored: Int32Array): void {
  const fill = (g: Grid, values: {[i: number]: number}, of: (piece: Piece) => {grid: Grid; values: ArrayLike<number>}) => {
    for (const piece of pieces) {
      const own = of(piece);
      const places = placesOf(own.grid, piece.layout, piece.parts);
      places.rows.forEach((n, r) => {
        const row = Math.floor(((piece.rows[n] as number) + g.rowPhase) / g.rows);
        places.columns.forEach((j, c) => {
          if (j < 0) return;
          const column = columnEntry(g, to, stored[piece.fileColumns[j] as number] as number);
          values[row * g.shape[1] + column] = own.values[r * own.grid.shape[1] + c] as number;
        });
      });
    }
  };
  const level = (key: 'scales' | 'offsets', i: number) => (piece: Piece) => ({
    grid: (piece.layout[key][i] as Level).grid,
    values: piece.parts[key][i] as LevelView,
  });
  layout.scales.forEach((l, i) => fill(l.grid, to.scales[i] as LevelView, level('scales', i)));
  layout.offsets.forEach((l, i) => fill(l.grid, to.offsets[i] as LevelView, level('offsets', i)));
  if (layout.zero.kind === 'codes') {
    const {grid} = layout.zero;
    const zeros = codeArray(layout, grid.shape[0] * grid.shape[1]);
    fill(grid, zeros, (piece) => ({grid: (piece.layout.zero as {grid: Grid}).grid, values: unpackZeros(piece.layout, piece.parts)}));
    packZeros(layout, to, zeros);
  }
}
