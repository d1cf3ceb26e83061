/** GGUF's 4-bit codes into a fixed table of 16 numbers: IQ4_NL, IQ4_XS. Source: ggml's block definitions. */
import type {BlockType, PackedLevel} from './gguf_blocks.js';
import {half} from './gguf_half.js';

const fround = Math.fround;

/** ggml's kvalues_iq4nl. */
const TABLE = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

/** 8 numbers of 6 bits, 32 too high: two bytes of high bit pairs at byte 2, four bytes of low nibbles at byte 4. */
const eightSixBits: PackedLevel = {
  type: 'int8',
  columns: 32,
  unpack(view, block, scales, _offsets, to) {
    const high = view.getUint16(block + 2, true);
    const low = view.getUint32(block + 4, true);
    for (let g = 0; g < 8; g++) scales[to + g] = (((low >>> (4 * g)) & 15) | (((high >> (2 * g)) & 3) << 4)) - 32;
  },
  pack(scales, _offsets, from, view, block) {
    let [high, low] = [0, 0];
    for (let g = 0; g < 8; g++) {
      const number = (scales[from + g] as number) + 32;
      high |= (number >> 4) << (2 * g);
      low |= (number & 15) << (4 * g);
    }
    view.setUint16(block + 2, high, true);
    view.setUint32(block + 4, low, true);
  },
};

/** d, 16 bytes of nibbles: d * table[q] */
const iq4_nl: BlockType = {
  name: 'IQ4_NL',
  elements: 32,
  bytes: 18,
  planes: [4],
  codes: [{width: 4, at: 2, run: 16}],
  decode: {kind: 'table', table: TABLE},
  zero: 0,
  scale: {type: 'float16', at: 0, columns: 32},
  value(view, block, i) {
    const q = (view.getUint8(block + 2 + (i & 15)) >> (4 * (i >> 4))) & 15;
    return fround(half(view, block) * (TABLE[q] as number));
  },
};

/** d, high bits [2], low nibbles [4], 8 times 16 bytes of nibbles: d * sc * table[q] */
const iq4_xs: BlockType = {
  name: 'IQ4_XS',
  elements: 256,
  bytes: 136,
  planes: [4],
  codes: [{width: 4, at: 8, run: 16}],
  decode: {kind: 'table', table: TABLE},
  zero: 0,
  scale: {type: 'float16', at: 0, columns: 256},
  sub: eightSixBits,
  value(view, block, i) {
    const g = i >> 5;
    const low = (view.getUint8(block + 4 + (g >> 1)) >> (4 * (g & 1))) & 15;
    const high = (view.getUint16(block + 2, true) >> (2 * g)) & 3;
    const q = (view.getUint8(block + 8 + 16 * g + (i & 15)) >> (4 * ((i >> 4) & 1))) & 15;
    return fround(fround(half(view, block) * ((low | (high << 4)) - 32)) * (TABLE[q] as number));
  },
};

export const IQ4: readonly BlockType[] = [iq4_nl, iq4_xs];
