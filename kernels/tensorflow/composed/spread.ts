/** Scales, offsets and zeros as columns of numbers over stretches of a row, and how two such combine. */
import {decodeE8m0} from '../../float_codes.js';
import {type Grid, LEVEL_BYTES, type Level, type LevelType, type Section, sectionsOf, type WeightLayout} from '../../layout.js';
import {DTYPE, type Handle} from '../backend.js';
import {floatNumbers, integerNumbers, lookUp} from './numbers.js';
import type {Ops} from './ops.js';

/** float32 (or float64) [R or 1, K / columns]: each number holds for `columns` columns. */
export interface Spread {
  readonly value: Handle;
  readonly columns: number;
}

/** Rows of the weight: a range, or a list in any order. */
export type Rows = {readonly begin: number; readonly end: number} | {readonly list: readonly number[]};

const range = (begin: number, end: number): Rows => ({begin, end});

/** The rows of a grid that rows of the weight read: one for all, the same ones, or one by one. */
function gridRows(grid: Grid, rows: Rows): Rows {
  if (grid.shape[0] === 1) return range(0, 1);
  if (grid.rows === 1 && grid.rowPhase === 0) return rows;
  const list = 'list' in rows ? rows.list : Array.from({length: rows.end - rows.begin}, (_, i) => rows.begin + i);
  return {list: list.map((n) => Math.floor((n + grid.rowPhase) / grid.rows))};
}

/** Rows of a matrix of any dtype. */
export function takeRows(ops: Ops, matrix: Handle, rows: Rows): Handle {
  if ('list' in rows) return ops.gather(matrix, ops.integers(rows.list), 0);
  return ops.slice(matrix, [rows.begin, 0], [rows.end - rows.begin, matrix.shape[1] as number]);
}

/** Grid columns to columns of the weight. `value` [r, grid columns]. */
function overColumns(ops: Ops, layout: WeightLayout, words: Handle, grid: Grid, value: Handle): Spread {
  const {inDim} = layout;
  if (grid.shape[1] === 1) return {value, columns: inDim};
  if (!grid.indexed && grid.columnPhase === 0 && inDim % grid.columns === 0) return {value, columns: grid.columns};
  const index = grid.indexed
    ? ops.bitcast(sectionOf(ops, words, sectionsOf(layout).groupIndex), DTYPE.int32)
    : ops.integers(Array.from({length: inDim}, (_, k) => Math.floor((k + grid.columnPhase) / grid.columns)));
  return {value: ops.gather(value, index, 1), columns: 1};
}

export function sectionOf(ops: Ops, words: Handle, {start, length}: Section): Handle {
  return ops.slice(words, [start], [length]);
}

const STORED: Partial<Record<LevelType, number>> = {
  float16: DTYPE.float16,
  bfloat16: DTYPE.bfloat16,
  int8: DTYPE.int8,
  uint8: DTYPE.uint8,
};

function levelSpread(ops: Ops, layout: WeightLayout, words: Handle, level: Level, section: Section, rows: Rows): Spread {
  const {grid, type} = level;
  const [gr, gc] = grid.shape;
  const stored = ops.reshape(ops.bitcast(sectionOf(ops, words, section), stored32(type)), [(section.length * 4) / LEVEL_BYTES[type]]);
  const entries = takeRows(ops, ops.reshape(ops.slice(stored, [0], [gr * gc]), [gr, gc]), gridRows(grid, rows));
  return overColumns(ops, layout, words, grid, levelNumbers(ops, type, entries));
}

const stored32 = (type: LevelType) => (type === 'float32' ? DTYPE.float32 : (STORED[type] ?? DTYPE.uint8));

let e8m0: Float32Array | undefined;

function levelNumbers(ops: Ops, type: LevelType, entries: Handle): Handle {
  if (type === 'float8_e8m0fnu') {
    e8m0 ??= Float32Array.from({length: 256}, (_, code) => decodeE8m0(code));
    return lookUp(ops, entries, e8m0);
  }
  if (type === 'float8_e4m3fn') return floatNumbers(ops, type, entries);
  return ops.cast(entries, DTYPE.float32);
}

/** The product (or quotient) of the levels, rounded to float32 a step; null without levels. */
export function levelsSpread(
  ops: Ops,
  layout: WeightLayout,
  words: Handle,
  levels: readonly Level[],
  sections: readonly Section[],
  rows: Rows,
): Spread | null {
  let product: Spread | null = null;
  levels.forEach((level, i) => {
    const next = levelSpread(ops, layout, words, level, sections[i] as Section, rows);
    product = product === null ? next : combine(ops, layout.inDim, level.divide ? 'RealDiv' : 'Mul', product, next);
  });
  return product;
}

/** The zeros, in the dtype of the numbers they are taken off; null without. */
export function zeroSpread(ops: Ops, layout: WeightLayout, words: Handle, rows: Rows, dtype: number): Spread | null {
  const {zero, planes, inDim} = layout;
  if (zero.kind === 'none') return null;
  if (zero.kind === 'constant') return {value: ops.reshape(ops.scalar(zero.value, dtype), [1, 1]), columns: inDim};
  const {zeros, zeroPlaneStarts} = sectionsOf(layout);
  const [gr, gc] = zero.grid.shape;
  const wanted = gridRows(zero.grid, rows);
  // A run of words that holds the wanted grid rows, whole words of every plane: fewer for a range than for a list.
  const first = 'list' in wanted ? 0 : Math.floor((wanted.begin * gc) / 32) * 32;
  const last = 'list' in wanted ? gr * gc : wanted.end * gc;
  const runs = planes.map((bits, p) => {
    const start = zeros.start + (zeroPlaneStarts[p] as number);
    const end = start + Math.ceil((last * bits) / 32);
    const from = start + (first * bits) / 32;
    return ops.reshape(ops.slice(words, [from], [end - from]), [1, end - from]);
  });
  const codes = integerNumbers(ops, planes, runs, last - first);
  if ('list' in wanted) return overColumns(ops, layout, words, zero.grid, takeRows(ops, ops.reshape(codes, [gr, gc]), wanted));
  const count = (wanted.end - wanted.begin) * gc;
  const own = ops.slice(codes, [0, wanted.begin * gc - first], [1, count]);
  return overColumns(ops, layout, words, zero.grid, ops.reshape(own, [wanted.end - wanted.begin, gc]));
}

/** a op b, on the finer of the two spreads. */
export function combine(ops: Ops, inDim: number, name: 'AddV2' | 'Sub' | 'Mul' | 'RealDiv', a: Spread, b: Spread): Spread {
  const [coarse, fine] = [Math.max(a.columns, b.columns), Math.min(a.columns, b.columns)];
  if (coarse % fine !== 0) return combine(ops, inDim, name, every(ops, inDim, a), every(ops, inDim, b));
  const shaped = ({value, columns}: Spread) => ops.reshape(value, [value.shape[0] as number, inDim / coarse, coarse / columns]);
  const value = ops.binary(name, shaped(a), shaped(b));
  return {value: ops.reshape(value, [value.shape[0] as number, inDim / fine]), columns: fine};
}

/** One number a column. */
function every(ops: Ops, inDim: number, {value, columns}: Spread): Spread {
  const index = ops.integers(Array.from({length: inDim}, (_, k) => Math.floor(k / columns)));
  return {value: ops.gather(value, index, 1), columns: 1};
}
