/** Which shader multiplies, how much of the result one fragment computes, and how K is split: a pure function of the problem. */
import {codeBits, commonRun, sectionsOf, type WeightLayout} from '../layout.js';
import {remember} from '../memo.js';

export type WebglVariant = 'blocks' | 'general';

export const WEBGL_VARIANTS: readonly WebglVariant[] = ['blocks', 'general'];

export interface WebglChoice {
  readonly variant: WebglVariant;
  /** Rows of x a fragment multiplies, by four rows of the weight: one draw buffer each. */
  readonly tile: 1 | 2 | 4;
  /** Columns decoded at a time (blocks), and summed before a scale is applied. */
  readonly block: number;
  readonly unit: number;
  /** Parts of K, each a fragment of its own. */
  readonly splits: number;
  readonly reason: string;
}

/** Columns summed before the running sum is touched, where groups do not say: short sums keep float32's error small. */
const UNIT = 256;

/** Fragments below which a GPU has idle lanes. */
const FRAGMENTS = 8192;

/**
 * @param rows M
 * @param outDim rows of the weight to multiply with
 * @param forced a variant to use where it can
 */
export function chooseWebgl(layout: WeightLayout, rows: number, outDim: number, forced: WebglVariant | null = null): WebglChoice {
  const shape = blockShape(layout);
  const tile = rows === 1 ? 1 : rows === 2 ? 2 : 4;
  const fragments = Math.ceil(outDim / 4) * Math.ceil(rows / tile);
  const unit = shape?.unit ?? UNIT / 4;
  const splits = Math.max(1, Math.min(Math.ceil(FRAGMENTS / fragments), Math.floor(layout.inDim / Math.max(unit, UNIT))));
  if (shape === null || forced === 'general') {
    const reason = shape === null ? 'K or the groups are not whole blocks of 16 columns' : 'forced';
    return {variant: 'general', tile, block: 1, unit: UNIT / 4, splits, reason};
  }
  return {variant: 'blocks', tile, ...shape, splits, reason: `blocks of ${shape.block} columns share their scales`};
}

interface BlockShape {
  readonly block: number;
  readonly unit: number;
}

const shapes = new WeakMap<WeightLayout, BlockShape | null>();

function blockShape(layout: WeightLayout): BlockShape | null {
  return remember(shapes, layout, () => findBlockShape(layout));
}

function findBlockShape(layout: WeightLayout): BlockShape | null {
  // A 32-bit difference of integers needs more than a float's 24 bits on the way.
  if (layout.decode.kind === 'integer' && codeBits(layout) === 32) return null;
  const run = commonRun(layout);
  const usable = (block: number) => layout.inDim % block === 0 && run % block === 0;
  // One texel of four words of the first plane, where the groups are that long.
  const texel = 128 / (layout.planes[0] as number);
  const wanted = layout.planes.length === 1 ? [texel, 32, 16] : [32, 16];
  const block = wanted.find((b) => b >= 16 && usable(b));
  if (block === undefined) return null;
  return {block, unit: run === 0 ? Math.max(UNIT, block) : run};
}

/** Words of one block of a plane, and whether they are whole texels of every row. */
export function planeFetch(layout: WeightLayout, plane: number, block: number): {words: number; start: number; aligned: 4 | 2 | 1} {
  const {rowWords, planeStarts} = sectionsOf(layout);
  const words = ((layout.planes[plane] as number) * block) / 32;
  const start = planeStarts[plane] as number;
  const whole = (n: number) => rowWords % n === 0 && start % n === 0 && words % n === 0;
  return {words, start, aligned: whole(4) ? 4 : whole(2) ? 2 : 1};
}
