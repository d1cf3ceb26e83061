/** Rows of a packed weight as float32 by stock ops, every layout, one rounding a step. */
import {sectionsOf, type WeightLayout} from '../../layout.js';
import {DTYPE, type Handle} from '../backend.js';
import {rowNumbers} from './numbers.js';
import type {Ops} from './ops.js';
import {combine, levelsSpread, type Rows, type Spread, sectionOf, takeRows, zeroSpread} from './spread.js';

/** words float32 bits [L] -> float32 [R, K] in stored order. */
export function storedRows(ops: Ops, layout: WeightLayout, words: Handle, rows: Rows): Handle {
  const {inDim, outDim} = layout;
  const sections = sectionsOf(layout);
  const codes = ops.reshape(sectionOf(ops, words, sections.codes), [outDim, sections.rowWords]);
  let numbers: Spread = {value: rowNumbers(ops, layout, takeRows(ops, codes, rows)), columns: 1};
  const zero = zeroSpread(ops, layout, words, rows, numbers.value.dtype);
  if (zero !== null) numbers = combine(ops, inDim, 'Sub', numbers, zero);
  numbers = {value: ops.cast(numbers.value, DTYPE.float32), columns: 1};
  const scale = levelsSpread(ops, layout, words, layout.scales, sections.scales, rows);
  if (scale !== null) numbers = combine(ops, inDim, layout.scales[0]?.divide ? 'RealDiv' : 'Mul', numbers, scale);
  const offset = levelsSpread(ops, layout, words, layout.offsets, sections.offsets, rows);
  if (offset !== null) numbers = combine(ops, inDim, 'AddV2', numbers, offset);
  return numbers.value;
}

/** order int32 [K]: stored column j is the weight's column order[j]. */
export function orderOf(ops: Ops, layout: WeightLayout, words: Handle): Handle {
  return ops.bitcast(sectionOf(ops, words, sectionsOf(layout).order), DTYPE.int32);
}

/** float32 [R, K] in the weight's own column order. */
export function rowsInOrder(ops: Ops, layout: WeightLayout, words: Handle, rows: Rows): Handle {
  const stored = storedRows(ops, layout, words, rows);
  return layout.ordered ? ops.gather(stored, ops.invert(orderOf(ops, layout, words)), 1) : stored;
}

/** Rows expanded at a time: bounds the memory of the steps between. */
export function slabRows(inDim: number, onDevice: boolean): number {
  return Math.max(1, Math.floor((onDevice ? DEVICE_SLAB : HOST_SLAB) / inDim));
}

/** Numbers a slab. */
const HOST_SLAB = 1 << 21;
const DEVICE_SLAB = 1 << 24;

/** Ranges of `step` rows that cover begin..end. */
export function slabs(begin: number, end: number, step: number): {begin: number; end: number}[] {
  const count = Math.ceil((end - begin) / step);
  return Array.from({length: count}, (_, i) => ({begin: begin + i * step, end: Math.min(end, begin + (i + 1) * step)}));
}
