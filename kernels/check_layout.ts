/** Is plain data a layout? Kernels trust its fields. */
import {ArgumentError} from '../src/errors.js';
import {gridsOf, LEVEL_BYTES, type WeightLayout} from './layout.js';

/** Throws ArgumentError where it is none, or not of a weight of this shape. */
export function checkLayout(where: string, layout: WeightLayout, shape?: readonly [number, number]): void {
  try {
    const {planes, decode, scales, offsets, outDim, inDim} = layout;
    const fits = shape === undefined || (shape[0] === outDim && shape[1] === inDim);
    const sizes = [outDim, inDim, ...gridsOf(layout).flatMap(({shape, rows, columns}) => [...shape, rows, columns])];
    const levels = [...scales, ...offsets].every(({type}) => Object.hasOwn(LEVEL_BYTES, type));
    if (fits && levels && decode.kind && planes.every((bits) => 32 % bits === 0) && sizes.every(Number.isInteger)) return;
  } catch {
    // A field that is not there.
  }
  throw new ArgumentError({
    where,
    expected: shape ? `the layout of a [${shape}] weight` : 'a layout',
    received: String(JSON.stringify(layout)).slice(0, 80),
  });
}
