/** Codes of any width and order, one row at a time: the way for what cannot be moved by whole words. */
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {packRun, unpackRun} from '../../kernels/words.js';
import {packPlanar, packStream, unpackPlanar, unpackStream} from './packing.js';

/** Row n of codes is a run of `bits` bits a code whose word i is words[n * step + i * stride]. */
export interface Streams {
  readonly words: Uint32Array;
  readonly step: number;
  readonly stride: number;
  readonly bits: number;
  /** In planes, run by run of 32 codes; else dense. */
  readonly planar: boolean;
}

/** Into the codes section. `order` gives the file's column of each stored one, or null. */
export function lowerStreams(from: Streams, layout: WeightLayout, order: Int32Array | null, codes: Uint32Array): void {
  const {outDim, inDim} = layout;
  const {rowWords, planeStarts} = sectionsOf(layout);
  const file = new Uint8Array(inDim);
  const stored = order === null ? file : new Uint8Array(inDim);
  for (let n = 0; n < outDim; n++) {
    if (from.planar) unpackPlanar(from.words, n * from.step, from.stride, layout.planes, inDim, file, 0);
    else unpackStream(from.words, n * from.step, from.stride, from.bits, inDim, file, 0);
    if (order !== null) for (let j = 0; j < inDim; j++) stored[j] = file[order[j] as number] as number;
    packRun(stored, 0, inDim, layout.planes, planeStarts, codes, n * rowWords);
  }
}

/** The inverse: fills `to.words`, which must be zero before. */
export function raiseStreams(to: Streams, layout: WeightLayout, order: Uint32Array | null, codes: Uint32Array): void {
  const {outDim, inDim} = layout;
  const {rowWords, planeStarts} = sectionsOf(layout);
  const stored = new Uint8Array(inDim);
  const file = order === null ? stored : new Uint8Array(inDim);
  for (let n = 0; n < outDim; n++) {
    unpackRun(codes, n * rowWords, layout.planes, planeStarts, 0, inDim, stored, 0);
    if (order !== null) for (let j = 0; j < inDim; j++) file[order[j] as number] = stored[j] as number;
    if (to.planar) packPlanar(file, 0, inDim, layout.planes, to.words, n * to.step, to.stride);
    else packStream(file, 0, inDim, to.bits, to.words, n * to.step, to.stride);
  }
}
