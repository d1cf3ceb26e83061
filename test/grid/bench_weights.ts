/** A case's weight at another size: its layout as the format lowers it, over random contents. */
import {floatBits} from '../../kernels/float_codes.js';
import type {Grid, Level, WeightLayout} from '../../kernels/layout.js';
import {allocateWords, partsOf} from '../../kernels/words.js';
import type {QuantizedWeight} from '../../src/index.js';
import {filesOf} from '../support/checkpoints.js';
import type {Case} from './cases.js';
import {openLinear} from './check_case.js';
import {type Random, randomEntry, seeded} from './layouts.js';

/** The layout of a case's fixture. */
export async function layoutOf(c: Case): Promise<WeightLayout> {
  const {layer} = await openLinear(c, (await filesOf(c)).files);
  const {layout} = layer.weight as QuantizedWeight;
  layer.dispose();
  return layout;
}

/** The same structure over [outDim, inDim]: groups and blocks keep their size, one scale for a whole row or weight stays one. */
export function resized(layout: WeightLayout, outDim: number, inDim: number): WeightLayout {
  if (layout.indexed) throw new Error('A weight with uneven groups has no other size.');
  const resize = (g: Grid): Grid => {
    const rows = g.shape[0] === 1 && g.rows >= layout.outDim ? outDim : g.rows;
    const columns = g.shape[1] === 1 && g.columns >= layout.inDim ? inDim : g.columns;
    return {...g, rows, columns, shape: [Math.ceil(outDim / rows), Math.ceil(inDim / columns)]};
  };
  const level = (l: Level): Level => ({...l, grid: resize(l.grid)});
  return {
    ...layout,
    outDim,
    inDim,
    scales: layout.scales.map(level),
    offsets: layout.offsets.map(level),
    zero: layout.zero.kind === 'codes' ? {kind: 'codes', grid: resize(layout.zero.grid)} : layout.zero,
  };
}

const finestGrid = ({scales}: WeightLayout): Grid | undefined => scales.map((l) => l.grid).sort((a, b) => a.columns - b.columns)[0];

/** Columns that share a scale. */
export const groupColumns = (layout: WeightLayout): number => Math.min(layout.inDim, finestGrid(layout)?.columns ?? layout.inDim);

/** 'groups of 32', 'blocks of 128 x 128', or '' where a scale covers whole rows. */
export function groupingOf(layout: WeightLayout): string {
  const {outDim, inDim} = layout;
  const grid = finestGrid(layout);
  if (grid === undefined || grid.columns >= inDim) return '';
  return grid.rows > 1 && grid.rows < outDim ? `blocks of ${grid.rows} x ${grid.columns}` : `groups of ${grid.columns}`;
}

const scratch = new Float32Array(1);
const bits = new Int32Array(scratch.buffer);

/** One word of codes: any integers; floats of ordinary size, none of them NaN. */
function codeWord({decode}: WeightLayout, random: Random): number {
  const word = (random() * 2 ** 32) | 0;
  if (decode.kind !== 'float') return word;
  switch (floatBits(decode.type)) {
    case 32:
      scratch[0] = random() * 2 - 1;
      return bits[0] as number;
    case 16:
      // Signs and mantissas at random, magnitudes from 2^-3 to 2^1.
      return decode.type === 'bfloat16' ? (word & 0x807f807f) | 0x3f003f00 : (word & 0x83ff83ff) | 0x38003800;
    case 8:
      // Magnitudes from 2^-3 to 2^1 of e4m3: a scaled weight has one subnormal in some ten thousand codes, and none is NaN.
      return (word & 0xbfbfbfbf) | 0x20202020;
    default:
      return word;
  }
}

/** Random contents, the same on every call. */
export function randomWords(layout: WeightLayout): Int32Array {
  const random = seeded(layout.outDim + layout.inDim);
  const words = allocateWords(layout);
  const {codes, scales, offsets, zeros, order} = partsOf(layout, words);
  for (let i = 0; i < codes.length; i++) codes[i] = codeWord(layout, random);
  for (let i = 0; i < zeros.length; i++) zeros[i] = (random() * 2 ** 32) | 0;
  const fill = (levels: readonly Level[], views: typeof scales) =>
    levels.forEach((l, i) => {
      const view = views[i] as Float32Array;
      for (let j = 0; j < view.length; j++) view[j] = randomEntry(l.type, random);
    });
  fill(layout.scales, scales);
  fill(layout.offsets, offsets);
  // An odd step visits every column of a power of two once, far from in order.
  for (let j = 0; j < order.length; j++) order[j] = (j * 1237) % order.length;
  return words;
}
