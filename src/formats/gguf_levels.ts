/** Scales and offsets of GGUF blocks to and from the levels of the record, with what must be refused in them. */
import {grid, LEVEL_BYTES, type Level} from '../../kernels/layout.js';
import type {LevelView} from '../../kernels/words.js';
import {FileFormatError} from '../errors.js';
import {type BlockType, isPacked, type PackedLevel, type StoredLevel} from './gguf_blocks.js';

/** Levels of an [outDim, inDim] weight of this type: scales and offsets. */
export function levelsOf(type: BlockType, outDim: number, inDim: number): {scales: Level[]; offsets: Level[]} {
  const level = (l: StoredLevel | PackedLevel): Level => ({grid: grid(outDim, inDim, 1, l.columns), type: l.type, divide: false});
  const scales = [level(type.scale)];
  const offsets = type.offset === undefined ? [] : [level(type.offset)];
  if (type.sub !== undefined) {
    scales.push(level(type.sub));
    if (offsets.length > 0) offsets.push(level(type.sub));
  }
  return {scales, offsets};
}

export const SIGN = 0x8000;

/** Where blocks lie in their tensor. */
export interface BlockPlace {
  readonly where: string;
  /** Blocks in a row. */
  readonly perRow: number;
  /** Index of the view's first block in the tensor. */
  readonly first: number;
}

/** Entries that every block stores as they are: all blocks of `view` into those of `out` from `first` on. Throws where one is not a finite number. */
export function readStored(view: DataView, type: BlockType, level: StoredLevel, out: LevelView, place: BlockPlace): void {
  const blocks = view.byteLength / type.bytes;
  const entries = type.elements / level.columns;
  const {first} = place;
  if (LEVEL_BYTES[level.type] === 2) {
    const flip = level.negate === true ? SIGN : 0;
    for (let b = 0, at = level.at; b < blocks; b++, at += type.bytes) {
      const code = view.getUint16(at, true);
      if ((code & 0x7c00) === 0x7c00) refuse(type, level, code, place, b);
      out[first + b] = code ^ flip;
    }
    return;
  }
  const refused = refusedCode(level);
  for (let b = 0, at = level.at, to = first * entries; b < blocks; b++, at += type.bytes) {
    for (let e = 0; e < entries; e++) {
      const code = view.getUint8(at + e);
      if (code >= refused) refuse(type, level, code, place, b);
      out[to++] = code;
    }
  }
}

/** No byte is refused. */
export const ANY = 0x100;

/** The smallest byte that cannot be a scale. e8m0: 255 is NaN. e4m3 scales have no sign (ggml's readers drop it): 127 is NaN. */
export function refusedCode(level: StoredLevel | PackedLevel): number {
  return level.type === 'float8_e8m0fnu' ? 0xff : level.type === 'float8_e4m3fn' ? 0x7f : ANY;
}

function refuse(type: BlockType, level: StoredLevel, code: number, {where, perRow, first}: BlockPlace, b: number): never {
  const block = first + b;
  throw new FileFormatError({
    where,
    expected: `finite ${level.type} scales in ${type.name} blocks`,
    received: `code 0x${code.toString(16)} in row ${Math.floor(block / perRow)}, block ${block % perRow}`,
    why: 'Every weight of that block would be NaN, infinite or read differently by different tools.',
    remedy: 'The file is damaged, or was quantised from weights that were: fetch or quantise it again.',
  });
}

/** The inverse of readStored. */
export function writeStored(view: DataView, type: BlockType, level: StoredLevel, from: LevelView): void {
  const blocks = view.byteLength / type.bytes;
  const entries = type.elements / level.columns;
  const flip = level.negate === true ? SIGN : 0;
  for (let b = 0, at = level.at; b < blocks; b++, at += type.bytes) {
    if (LEVEL_BYTES[level.type] === 2) view.setUint16(at, (from[b] as number) ^ flip, true);
    else for (let e = 0; e < entries; e++) view.setUint8(at + e, from[b * entries + e] as number);
  }
}

/** Second level: all blocks of `view` into scales (and offsets where the type has them). */
export function readSub(view: DataView, type: BlockType, scales: LevelView, offsets: LevelView | undefined, place: BlockPlace): void {
  if (type.sub === undefined) return;
  if (!isPacked(type.sub)) {
    readStored(view, type, type.sub, scales, place);
    return;
  }
  const blocks = view.byteLength / type.bytes;
  const entries = type.elements / type.sub.columns;
  for (let b = 0; b < blocks; b++) {
    type.sub.unpack(view, b * type.bytes, scales as Uint8Array, (offsets ?? scales) as Uint8Array, (place.first + b) * entries);
  }
}

/** The inverse of readSub. */
export function writeSub(view: DataView, type: BlockType, scales: LevelView, offsets: LevelView | undefined): void {
  if (type.sub === undefined) return;
  if (!isPacked(type.sub)) {
    writeStored(view, type, type.sub, scales);
    return;
  }
  const blocks = view.byteLength / type.bytes;
  const entries = type.elements / type.sub.columns;
  for (let b = 0; b < blocks; b++) {
    type.sub.pack(scales as Uint8Array, (offsets ?? scales) as Uint8Array, b * entries, view, b * type.bytes);
  }
}
