/** Is plain data a layout? Kernels trust its fields. */
import {ArgumentError} from '../src/errors.js';
import {gridsOf, LEVEL_BYTES, type WeightLayout} from './layout.js';

const KINDS = ['integer', 'float', 'table'];
const ZEROS = ['none', 'constant', 'codes'];
const PLANES = [1, 2, 4, 8, 16, 32];

/** Throws ArgumentError where it is none, or not of a weight of this shape. */
export function checkLayout(where: string, layout: WeightLayout, shape?: readonly [number, number]): void {
  try {
    const {planes, decode, zero, scales, offsets, outDim, inDim} = layout;
    const fits = shape === undefined || (shape[0] === outDim && shape[1] === inDim);
    const sizes = [outDim, inDim, ...gridsOf(layout).flatMap(({shape, rows, columns}) => [shape[0], shape[1], rows, columns])];
    const levels = scales.concat(offsets).every(({type}) => Object.hasOwn(LEVEL_BYTES, type));
    const kinds = KINDS.includes(decode.kind) && ZEROS.includes(zero.kind);
    if (
      fits &&
      levels &&
      kinds &&
      planes.every((bits) => PLANES.includes(bits)) &&
      sizes.every((n) => Number.isInteger(n) && n >= 0 && n < 2 ** 31)
    )
      return;
  } catch {
    // A field that is not there.
  }
  throw new ArgumentError({
    where,
    expected: shape ? `the layout of a [${shape}] weight` : 'a layout',
    received: String(JSON.stringify(layout)).slice(0, 80),
  });
}
