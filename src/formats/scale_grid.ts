/** What the shape of a scale tensor means for an [N, K] weight. */
import {type Grid, grid} from '../../kernels/layout.js';
import {ShapeError} from '../errors.js';
import {sameShape} from './tensors.js';

/** What the config says about scales; `null` leaves it to the shape. */
export type ScaleUse =
  | {readonly kind: 'tensor'}
  | {readonly kind: 'channel'}
  | {readonly kind: 'group'; readonly groupSize: number}
  | {readonly kind: 'block'; readonly block: readonly [number, number]}
  | null;

/**
 * The grid of a scale of this shape: [], [1] and [1, 1] are one for the tensor, [N] and [N, 1] one an output, [1, K] one an input
 * column; groups are [N, ceil(K / groupSize)] and blocks [ceil(N / rows), ceil(K / columns)].
 * Throws ShapeError where the shape is not the one that `use` asks for, or where without it the shape leaves doubt.
 */
export function scaleGrid(where: string, shape: readonly number[], outDim: number, inDim: number, use: ScaleUse): Grid {
  const fits = (...shapes: number[][]): boolean => shapes.some((s) => sameShape(s, shape));
  const expected: string[] = [];
  const option = (kind: string, text: string, rows: number, columns: number, shapes: number[][]): Grid | null => {
    if (use !== null && use.kind !== kind) return null;
    expected.push(`${shapes.map((s) => `[${s}]`).join(' or ')} (${text})`);
    return fits(...shapes) ? grid(outDim, inDim, rows, columns) : null;
  };
  const groupColumns = use?.kind === 'group' ? use.groupSize : groupSizeFrom(shape, outDim, inDim);
  const block = use?.kind === 'block' ? use.block : null;
  const found =
    option('tensor', 'one for the weight', outDim, inDim, [[], [1], [1, 1]]) ??
    option('channel', 'one an output', 1, inDim, [[outDim], [outDim, 1]]) ??
    (use === null ? option('column', 'one an input column', outDim, 1, [[1, inDim]]) : null) ??
    (groupColumns === null
      ? null
      : option('group', `groups of ${groupColumns} of ${inDim} inputs`, 1, groupColumns, [[outDim, Math.ceil(inDim / groupColumns)]])) ??
    (block === null
      ? null
      : option('block', `blocks of ${block.join(' x ')}`, block[0], block[1], [
          [Math.ceil(outDim / block[0]), Math.ceil(inDim / block[1])],
        ]));
  if (found !== null) return found;
  const transposed = fits([1, outDim], [inDim]);
  throw new ShapeError({
    where,
    expected: `${expected.join(', or ')} for a [${outDim}, ${inDim}] weight`,
    received: `[${shape}]`,
    remedy: transposed ? 'It looks transposed.' : use === null ? 'Blocks and groups need a config that gives their size.' : '',
  });
}

/** Groups that divide K, from the shape alone. */
function groupSizeFrom(shape: readonly number[], outDim: number, inDim: number): number | null {
  const [rows, groups] = shape;
  if (shape.length !== 2 || rows !== outDim || groups === undefined || groups < 2 || inDim % groups !== 0) return null;
  return inDim / groups;
}
