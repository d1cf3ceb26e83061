/** What a GGUF block type is, as data: the one description that lowering, raising and the reference read. */
import type {Decode, LevelType} from '../../kernels/layout.js';
import type {BlockPlane} from './gguf_planes.js';

/** Entries of a scale or offset level that a block stores as they are, one after another. */
export interface StoredLevel {
  readonly type: LevelType;
  /** First byte in the block. */
  readonly at: number;
  /** Weights to an entry along K. */
  readonly columns: number;
  /**
   * The file subtracts what the record adds: the sign bit of the float16 is flipped on the way in and out. Exact, where
   * negating the small integers it is multiplied with would need a sign they lack.
   */
  readonly negate?: boolean;
}

/** Sub-scales of a block (and sub-offsets where the type has offsets) squeezed into fewer than 8 bits each. */
export interface PackedLevel {
  readonly type: 'int8' | 'uint8';
  readonly columns: number;
  /** Where pairs of 6 bits begin in the block, if they lie as the lowering module's `gatherSixes` reads them. */
  readonly sixesAt?: number;
  /** Numbers of the block at byte `block` into scales[to ...] and offsets[to ...], one an element. */
  unpack(view: DataView, block: number, scales: Uint8Array | Int8Array, offsets: Uint8Array | Int8Array, to: number): void;
  /** The inverse. The block's bytes are zero before. */
  pack(scales: Uint8Array | Int8Array, offsets: Uint8Array | Int8Array, from: number, view: DataView, block: number): void;
}

/** Codes that are not fields of bytes. */
export interface CodePacking {
  unpack(view: DataView, block: number, out: Uint32Array, to: number): void;
  pack(words: Uint32Array, from: number, view: DataView, block: number): void;
}

export interface BlockType {
  /** ggml's name, as in 'Q4_K'. */
  readonly name: string;
  /** Weights in a block. */
  readonly elements: number;
  readonly bytes: number;
  /** Bits of each plane, low plane first. */
  readonly planes: readonly number[];
  /** Where they lie: a BlockPlane for each plane, or code for the one plane there is. */
  readonly codes: readonly BlockPlane[] | CodePacking;
  readonly decode: Decode;
  /** Subtracted from the integer code; 0 for none. */
  readonly zero: number;
  readonly scale: StoredLevel;
  readonly offset?: StoredLevel;
  /** Second level of the scale, and of the offset where it is packed and the type has one. */
  readonly sub?: StoredLevel | PackedLevel;
  /** A tensor `scale` [1] beside the weight multiplies the block scales; 1 where there is none. */
  readonly tensorScale?: boolean;
  /**
   * Weight i of the block that begins at byte `block`, straight from the definition and slowly: every step rounds to
   * float32. The oracle for everything above.
   */
  value(view: DataView, block: number, i: number, tensorScale: number): number;
}

export function isPacked(level: StoredLevel | PackedLevel): level is PackedLevel {
  return 'unpack' in level;
}

export function isPlanes(codes: readonly BlockPlane[] | CodePacking): codes is readonly BlockPlane[] {
  return Array.isArray(codes);
}
