/**
 * GPTQ's zero points. v1 files store one less, and their writer subtracts from whole 32-bit words, with borrows across
 * fields: the constant is added back to the word (modulo 2^32) before it is split. 3 bits are per field.
 */
import {FileFormatError, UnsupportedError} from '../errors.js';
import {type FileTensor, type Module, need} from './format.js';
import type {CheckpointFormat, GptqHeader} from './gptq_header.js';
import {isPlanar} from './gptq_header.js';
import {PLANES, packPlanar, packStream, unpackPlanar, unpackStream} from './packing.js';
import {int32sOf, wordsOf} from './tensors.js';

/** One in every field of a word. */
const ONES: Readonly<Record<number, number>> = {2: 0x55555555, 4: 0x11111111, 8: 0x01010101};

/** An asymmetric layer with this many zero points does not have them all at one off the middle by chance: one word of 4-bit fields. */
const EVIDENCE = 8;

export interface GptqZeros {
  /** As found: the config's, or the one that the stored zero points of a symmetric layer show. */
  readonly checkpointFormat: CheckpointFormat;
  /** True zero points [groups, N], or one number where all are equal. */
  readonly zeros: Uint8Array | number;
}

/** Whether every zero point is the middle, or else an error. */
export const isSymmetric = ({sym, checkpointFormat}: GptqHeader): boolean => sym === true || checkpointFormat === null;

/**
 * The true zero points.
 * The config's convention is checked against the data: where a symmetric layer's stored zero points are all the middle
 * of the other convention, that one is used (and named in the result). Throws UnsupportedError where sym is set and the
 * stored zero points say otherwise, or where there is no config and they are asymmetric.
 */
export function gptqZeros(module: Module, header: GptqHeader): GptqZeros {
  const {bits, groups, outDim} = header;
  const middle = 2 ** (bits - 1);
  const declared = header.checkpointFormat ?? 'gptq';
  if (header.zeros === 'absent') return {checkpointFormat: declared, zeros: middle};
  const qzeros = need(module, 'qzeros');
  const zeros = new Uint8Array(groups * outDim);
  let constant = onlyZero(header, qzeros, declared);
  if (constant !== null) zeros.fill(constant);
  else {
    readZeros(module, header, qzeros, declared, zeros);
    if (zeros.every((z) => z === zeros[0])) constant = zeros[0] as number;
  }
  if (constant === middle) return {checkpointFormat: declared, zeros: middle};
  // gptq_p holds true zero points by definition and has no other convention to be mistaken for.
  const shifted = declared !== 'gptq_p' && constant === (declared === 'gptq' ? (middle + 1) % 2 ** bits : middle - 1);
  if (shifted && header.sym !== false) return {checkpointFormat: declared === 'gptq' ? 'gptq_v2' : 'gptq', zeros: middle};
  if (shifted && zeros.length >= EVIDENCE) throw shiftedError(module.module, declared, middle);
  if (isSymmetric(header)) throw asymmetricError(module.module, header, zeros, middle);
  return {checkpointFormat: declared, zeros: constant ?? zeros};
}

/** The zero point that every field of every word holds, or null. Most files are symmetric, and this is all that is read of a million zero points. */
function onlyZero({bits, outDim, zeros}: GptqHeader, qzeros: FileTensor, format: CheckpointFormat): number | null {
  const one = ONES[bits];
  if (zeros !== 'words' || one === undefined || (outDim * bits) % 32 !== 0) return null;
  const words = int32sOf(qzeros);
  const [first = 0] = words;
  for (let i = 1; i < words.length; i++) if (words[i] !== first) return null;
  const word = (first + (format === 'gptq' ? one : 0)) | 0;
  const zero = word & (2 ** bits - 1);
  return Math.imul(zero, one) === word ? zero : null;
}

function readZeros(module: Module, header: GptqHeader, qzeros: FileTensor, format: CheckpointFormat, out: Uint8Array): void {
  const {bits, groups, outDim} = header;
  const mask = 2 ** bits - 1;
  const add = format === 'gptq' ? 1 : 0;
  if (header.zeros === 'elements') {
    const stored = qzeros.dtype === 'I32' ? int32sOf(qzeros) : qzeros.data;
    for (let i = 0; i < out.length; i++) {
      if (((stored[i] as number) & ~mask) !== 0) throw rangeError(module.module, i, outDim, stored[i] as number, bits);
      out[i] = ((stored[i] as number) + add) & mask;
    }
    return;
  }
  const rowWords = qzeros.shape[1] as number;
  const one = add === 1 ? ONES[bits] : undefined;
  const words = one === undefined ? wordsOf(qzeros) : wordsOf(qzeros).map((word) => word + one);
  for (let g = 0; g < groups; g++) {
    if (header.planar) unpackPlanar(words, g * rowWords, 1, PLANES[bits] as number[], outDim, out, g * outDim);
    else unpackStream(words, g * rowWords, 1, bits, outDim, out, g * outDim);
  }
  if (add === 1 && one === undefined) for (let i = 0; i < out.length; i++) out[i] = ((out[i] as number) + 1) & mask;
}

/** The stored tensor of these zero points. Bits beyond the last output are those of zero points 0. */
export function storeZeros(zeros: ArrayLike<number>, groups: number, outDim: number, bits: number, format: CheckpointFormat): Uint32Array {
  const planar = isPlanar(format, bits);
  const rowWords = Math.ceil((outDim * bits) / 32);
  const words = new Uint32Array(groups * rowWords);
  const one = format === 'gptq' ? ONES[bits] : undefined;
  const stored = format === 'gptq' && one === undefined ? Uint8Array.from(zeros, (z) => (z - 1) & (2 ** bits - 1)) : zeros;
  for (let g = 0; g < groups; g++) {
    if (planar) packPlanar(stored, g * outDim, outDim, PLANES[bits] as number[], words, g * rowWords, 1);
    else packStream(stored, g * outDim, outDim, bits, words, g * rowWords, 1);
  }
  return one === undefined ? words : words.map((word) => word - one);
}

function shiftedError(module: string, declared: CheckpointFormat, middle: number): UnsupportedError {
  const other = declared === 'gptq' ? 'gptq_v2' : 'gptq';
  return new UnsupportedError({
    where: `${module}.qzeros`,
    expected: `asymmetric zero points in the '${declared}' convention`,
    received: `all ${declared === 'gptq' ? middle + 1 : middle - 1} by that convention, and all ${middle} by '${other}'`,
    why: 'The layer looks symmetric, with the other convention.',
    remedy: `Set checkpoint_format to '${other}', or sym to true, in the config.`,
  });
}

function asymmetricError(module: string, header: GptqHeader, zeros: Uint8Array, middle: number): UnsupportedError {
  const at = zeros.findIndex((z) => z !== middle);
  const {outDim} = header;
  return new UnsupportedError({
    where: `${module}.qzeros`,
    expected:
      header.sym === true
        ? `zero points of ${middle} everywhere: the config says sym`
        : 'a config: without one only symmetric layers are certain',
    received: `${zeros[at]} for group ${Math.floor(at / outDim)}, output ${at % outDim}`,
    why:
      header.sym === true
        ? 'Either the config or the stored zero points are wrong, and tools differ in which they use.'
        : 'Stored zero points may be one less than the true ones (gptq) or not (gptq_v2).',
    remedy: header.sym === true ? 'Set sym to false in the config to use the stored zero points.' : 'Open the folder with its config.json.',
  });
}

function rangeError(module: string, i: number, outDim: number, value: number, bits: number): FileFormatError {
  return new FileFormatError({
    where: `${module}.qzeros[${Math.floor(i / outDim)}, ${i % outDim}]`,
    expected: `a zero point of ${bits} bits`,
    received: value,
  });
}
