/** Is plain data a layout? Kernels trust its fields. */
import {ArgumentError} from '../src/errors.js';
import {type Grid, LEVEL_BYTES, type Level, type WeightLayout} from './layout.js';

const PLANES: readonly number[] = [1, 2, 4, 8, 16, 32];

function isGrid(grid: Grid | null | undefined): boolean {
  return Array.isArray(grid?.shape) && grid.shape.length === 2 && [grid.rows, grid.columns, ...grid.shape].every(Number.isInteger);
}

function isLevels(levels: readonly Level[] | undefined): boolean {
  return Array.isArray(levels) && levels.every((l: Level | null) => isGrid(l?.grid) && Object.hasOwn(LEVEL_BYTES, l?.type ?? ''));
}

/** Throws ArgumentError where it is none. */
export function checkLayoutFields(where: string, layout: WeightLayout | null | undefined): void {
  const {planes, decode, zero, scales, offsets, outDim, inDim} = layout ?? ({} as Partial<WeightLayout>);
  if (
    [outDim, inDim].every((size) => Number.isInteger(size)) &&
    Array.isArray(planes) &&
    planes.every((bits) => PLANES.includes(bits)) &&
    ['integer', 'float', 'table'].includes(decode?.kind as string) &&
    (['none', 'constant'].includes(zero?.kind as string) || (zero?.kind === 'codes' && isGrid(zero.grid))) &&
    isLevels(scales) &&
    isLevels(offsets)
  )
    return;
  throw new ArgumentError({where, expected: 'a WeightLayout', received: String(JSON.stringify(layout))});
}
