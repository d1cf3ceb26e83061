/** Layouts to allocate before any values are there. */
import type {WeightLayout} from '../../kernels/layout.js';
import {ArgumentError, UnsupportedError} from '../errors.js';
import {FORMATS} from '../formats/index.js';
import type {LayerOrigin} from './origin.js';

/** The layout of an encoding such as 'Q4_0' over [outDim, inDim], from the format that lowers it. */
export function emptyLayout(encoding: string, outDim: number, inDim: number, where: string): WeightLayout {
  for (const format of FORMATS) {
    const layout = format.allocate?.(encoding, outDim, inDim) ?? null;
    if (layout !== null) return layout;
  }
  const known = FORMATS.flatMap((f) => f.encodings ?? []);
  const own = encoding === 'GPTQ' ? {remedy: 'Use GPTQLinear, with a quantizationConfig.'} : {};
  throw new UnsupportedError({
    where: `${where}: quantizationEncoding`,
    expected: `one of ${known.join(', ')}`,
    received: encoding,
    ...own,
  });
}

/** Throws ArgumentError unless it is the origin of a layer, or none. */
export function checkOrigin(origin: LayerOrigin | null | undefined, where: string): LayerOrigin | null {
  if (origin === undefined || origin === null) return null;
  if (Array.isArray(origin.parts) && origin.parts.every((part) => typeof part?.origin?.format === 'string')) return origin;
  throw new ArgumentError({
    where: `${where}: origin`,
    expected: 'that of a loaded layer',
    received: JSON.stringify(origin),
  });
}
