/** Layouts to allocate before any values are there. */
import type {WeightLayout} from '../../kernels/layout.js';
import {UnsupportedError} from '../errors.js';
import {FORMATS} from '../formats/index.js';

/** 16-bit floats as they are. */
export function dense16Layout(type: 'float16' | 'bfloat16', outDim: number, inDim: number): WeightLayout {
  return {
    outDim,
    inDim,
    planes: [16],
    decode: {kind: 'float', type},
    zero: {kind: 'none'},
    scales: [],
    offsets: [],
    ordered: false,
    indexed: false,
  };
}

/** The layout of an encoding such as 'Q4_0' over [outDim, inDim], from the format that lowers it. */
export function emptyLayout(encoding: string, outDim: number, inDim: number, where: string): WeightLayout {
  for (const format of FORMATS) {
    const layout = format.allocate?.(encoding, outDim, inDim) ?? null;
    if (layout !== null) return layout;
  }
  const known = FORMATS.flatMap((f) => f.encodings ?? []);
  throw new UnsupportedError({where: `${where}: quantizationEncoding`, expected: `one of ${known.join(', ')}`, received: encoding});
}
