// The descriptor a call leaves in memory (see ../descriptor.ts, which writes it): 32-bit fields, byte offsets here.
// A grid is six fields: rows, columns, rowPhase, columnPhase, indexed, entries along K. A level is a grid, its type and its first word.

export const OUT_DIM: usize = 0;
export const IN_DIM: usize = 4;
export const ROW_WORDS: usize = 8;
export const PLANES: usize = 12;
export const BITS0: usize = 16;
export const BITS1: usize = 20;
export const START1: usize = 24;
/**
 * 0 integer, 1 float32, 2 float16, 3 bfloat16, 4 table of 256 float32, 5 table of 16 float32, 6 table of 16 int8 times a factor,
 * 7 e4m3 (the table of 256 is there too). The factor of 2 and 7 is what their bits in a float32 lack, less what x was multiplied by.
 */
export const DECODE: usize = 28;
export const TABLE: usize = 32;
export const TABLE_FACTOR: usize = 36;
/** 0 none, 1 constant, 2 codes. */
export const ZERO_KIND: usize = 40;
export const ZERO_VALUE: usize = 44;
export const ZERO_START0: usize = 48;
export const ZERO_START1: usize = 52;
export const ZERO_GRID: usize = 56;
export const SCALES: usize = 80;
export const OFFSETS: usize = 84;
export const DIVIDE0: usize = 88;
export const DIVIDE1: usize = 92;
export const ORDER: usize = 96;
export const GROUP_INDEX: usize = 100;
export const E4M3_TABLE: usize = 104;
export const SCALE0: usize = 112;
export const SCALE1: usize = 144;
export const OFFSET0: usize = 176;
export const OFFSET1: usize = 208;

/** A third plane: 7 bits are 4 + 2 + 1. */
export const BITS2: usize = 240;
export const START2: usize = 244;
export const ZERO_START2: usize = 248;

/** Constant vectors. One that is written in the code is built anew in each iteration where V8 runs out of registers; from memory it is a load. */
export const SMALL_FLOATS: usize = 256; // 0x87f0 in each 16 bits
export const HIGH_HALVES: usize = 272; // 0xffff0000 in each 32
export const LOW_NIBBLES: usize = 288; // 15 in each 8
export const HALF_FLOATS: usize = 304; // 0x8fffe000 in each 32
export const SIXTEENS: usize = 320; // 16 in each 16
/** The least of a table of int8. */
export const TABLE_LOWEST: usize = 336;

export const GRID_ROWS: usize = 0;
export const GRID_COLUMNS: usize = 4;
export const GRID_ROW_PHASE: usize = 8;
export const GRID_COLUMN_PHASE: usize = 12;
export const GRID_INDEXED: usize = 16;
export const GRID_WIDTH: usize = 20;
export const LEVEL_TYPE: usize = 24;
export const LEVEL_START: usize = 28;

// @ts-ignore: decorator
@inline
export function field(p: usize, at: usize): i32 {
  return load<i32>(p + at);
}

/** Address of a word offset held in a field. */
// @ts-ignore: decorator
@inline
export function wordsAt(w: usize, d: usize, at: usize): usize {
  return w + (<usize>load<u32>(d + at) << 2);
}

/** All zeros, which no compiler knows. */
// @ts-ignore: decorator
@inline
export function unknownZeros(d: usize): v128 {
  return i32x4.shr_u(v128.load(d + LOW_NIBBLES), 28);
}

/** A vector of 32-bit constants that stays in its register through a loop: V8 would write out a constant in three instructions in each iteration. */
// @ts-ignore: decorator
@inline
export function kept(zeros: v128, value: i32): v128 {
  return v128.or(zeros, i32x4.splat(value));
}
