/** Whether plain data is a layout: kernels trust its fields. */
import {type Grid, LEVEL_BYTES, type Level, type WeightLayout} from './layout.js';

const PLANES: readonly number[] = [1, 2, 4, 8, 16, 32];

function isGrid(grid: Grid | null | undefined): boolean {
  return Array.isArray(grid?.shape) && grid.shape.length === 2 && [grid.rows, grid.columns, ...grid.shape].every(Number.isInteger);
}

function isLevels(levels: readonly Level[]): boolean {
  return Array.isArray(levels) && levels.every((l: Level | null) => isGrid(l?.grid) && Object.hasOwn(LEVEL_BYTES, l?.type ?? ''));
}

export function isLayout(layout: WeightLayout | null | undefined): boolean {
  if (typeof layout !== 'object' || layout === null) return false;
  const {planes, decode, zero, scales, offsets, outDim, inDim} = layout;
  return (
    [outDim, inDim].every((size) => Number.isInteger(size) && size >= 0) &&
    Array.isArray(planes) &&
    planes.every((bits) => PLANES.includes(bits)) &&
    ['integer', 'float', 'table'].includes(decode?.kind) &&
    (['none', 'constant'].includes(zero?.kind) || (zero?.kind === 'codes' && isGrid(zero.grid))) &&
    isLevels(scales) &&
    isLevels(offsets)
  );
}
