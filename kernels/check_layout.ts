/** Is plain data a layout? Kernels trust its fields. */
import {ArgumentError} from '../src/errors.js';
import {gridsOf, LEVEL_BYTES, type WeightLayout} from './layout.js';

/** Throws ArgumentError where it is none. */
export function checkLayoutFields(where: string, layout: WeightLayout): void {
  try {
    const {planes, decode, scales, offsets, outDim, inDim} = layout;
    const sizes = [outDim, inDim, ...gridsOf(layout).flatMap(({shape, rows, columns}) => [...shape, rows, columns])];
    const levels = [...scales, ...offsets].every(({type}) => Object.hasOwn(LEVEL_BYTES, type));
    if (levels && decode.kind && planes.every((bits) => 32 % bits === 0) && sizes.every(Number.isInteger)) return;
  } catch {
    // A field that is not there.
  }
  throw new ArgumentError({where, expected: 'a WeightLayout', received: String(JSON.stringify(layout))});
}
