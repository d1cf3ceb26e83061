/** GGUF's blocks of 32 with float16 scales: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. Source: ggml's block definitions. */
import type {BlockType} from './gguf_blocks.js';
import {half} from './gguf_half.js';

const fround = Math.fround;

const shared = {elements: 32, decode: {kind: 'integer'}, scale: {type: 'float16', at: 0, columns: 32}} as const;
const offset = {type: 'float16', at: 2, columns: 32} as const;

/** Code i of a block whose 16 bytes of nibbles begin at `at`: the low nibbles are the first 16 codes. */
function nibble(view: DataView, at: number, i: number): number {
  return (view.getUint8(at + (i & 15)) >> (4 * (i >> 4))) & 15;
}

/** Bit i of the 32 at byte `at`, as bit 4 of a code. */
function fifth(view: DataView, at: number, i: number): number {
  return ((view.getUint8(at + (i >> 3)) >> (i & 7)) & 1) << 4;
}

/** d, 16 bytes of nibbles: d * (q - 8) */
const q4_0: BlockType = {
  ...shared,
  name: 'Q4_0',
  bytes: 18,
  planes: [4],
  codes: [{width: 4, at: 2, run: 16}],
  zero: 8,
  value: (view, block, i) => fround(half(view, block) * (nibble(view, block + 2, i) - 8)),
};

/** d, m, nibbles: d * q + m */
const q4_1: BlockType = {
  ...shared,
  name: 'Q4_1',
  bytes: 20,
  planes: [4],
  codes: [{width: 4, at: 4, run: 16}],
  zero: 0,
  offset,
  value: (view, block, i) => fround(fround(half(view, block) * nibble(view, block + 4, i)) + half(view, block + 2)),
};

/** d, 32 fifth bits, nibbles: d * (q - 16) */
const q5_0: BlockType = {
  ...shared,
  name: 'Q5_0',
  bytes: 22,
  planes: [4, 1],
  codes: [
    {width: 4, at: 6, run: 16},
    {width: 1, at: 2, run: 1},
  ],
  zero: 16,
  value: (view, block, i) => fround(half(view, block) * ((nibble(view, block + 6, i) | fifth(view, block + 2, i)) - 16)),
};

/** d, m, 32 fifth bits, nibbles: d * q + m */
const q5_1: BlockType = {
  ...shared,
  name: 'Q5_1',
  bytes: 24,
  planes: [4, 1],
  codes: [
    {width: 4, at: 8, run: 16},
    {width: 1, at: 4, run: 1},
  ],
  zero: 0,
  offset,
  value: (view, block, i) =>
    fround(fround(half(view, block) * (nibble(view, block + 8, i) | fifth(view, block + 4, i))) + half(view, block + 2)),
};

/** d, 32 signed bytes: d * q */
const q8_0: BlockType = {
  ...shared,
  name: 'Q8_0',
  bytes: 34,
  planes: [8],
  codes: [{width: 8, at: 2, run: 1, flip: 0x80808080}],
  zero: 128,
  value: (view, block, i) => fround(half(view, block) * view.getInt8(block + 2 + i)),
};

export const LEGACY: readonly BlockType[] = [q4_0, q4_1, q5_0, q5_1, q8_0];
