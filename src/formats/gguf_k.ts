/**
 * GGUF's K-quants: blocks of 256 with float16 scales and a small integer scale (and minimum) for each 16 or 32 columns.
 * Source: ggml's block definitions; the order of fields is the struct's.
 */
import type {BlockType, PackedLevel} from './gguf_blocks.js';
import {half} from './gguf_half.js';
import type {BlockPlane} from './gguf_planes.js';

const fround = Math.fround;

const shared = {elements: 256, decode: {kind: 'integer'}} as const;
const d = (at: number) => ({type: 'float16', at, columns: 256}) as const;
/** The file subtracts dmin times a minimum. */
const dmin = (at: number) => ({type: 'float16', at, columns: 256, negate: true}) as const;

/** d * scale * q - dmin * min, in ggml's order. */
function affine(scale: number, sc: number, q: number, min: number, mn: number): number {
  return fround(fround(fround(scale * sc) * q) - fround(min * mn));
}

/** Two bits of column i: byte 32h + l, field r, for i = 128h + 32r + l. */
function crumb(view: DataView, at: number, i: number): number {
  return (view.getUint8(at + 32 * (i >> 7) + (i & 31)) >> (2 * ((i >> 5) & 3))) & 3;
}

/** One bit of column i: bit i >> 5 of byte i & 31. */
function bit(view: DataView, at: number, i: number): number {
  return (view.getUint8(at + (i & 31)) >> (i >> 5)) & 1;
}

/** Four bits of column i: byte 32 (i >> 6) + (i & 31), high nibble for the second 32 of each 64. */
function nibble(view: DataView, at: number, i: number): number {
  return (view.getUint8(at + 32 * (i >> 6) + (i & 31)) >> (4 * ((i & 63) >> 5))) & 15;
}

/** 16 bytes, scale in the low nibble, minimum in the high. */
const nibblePairs: PackedLevel = {
  type: 'uint8',
  columns: 16,
  unpack(view, block, scales, mins, to) {
    for (let g = 0; g < 16; g++) {
      const byte = view.getUint8(block + g);
      scales[to + g] = byte & 15;
      mins[to + g] = byte >> 4;
    }
  },
  pack(scales, mins, from, view, block) {
    for (let g = 0; g < 16; g++) view.setUint8(block + g, (scales[from + g] as number) | ((mins[from + g] as number) << 4));
  },
};

/** 16 numbers of 6 bits, 32 too high: 8 bytes of low nibbles (first 8 numbers low), 4 bytes of two high bits. At byte 96. */
const sixteenSixBits: PackedLevel = {
  type: 'int8',
  columns: 16,
  unpack(view, block, scales, _mins, to) {
    for (let g = 0; g < 16; g++) {
      const low = (view.getUint8(block + 96 + (g & 7)) >> (4 * (g >> 3))) & 15;
      const high = (view.getUint8(block + 104 + (g & 3)) >> (2 * (g >> 2))) & 3;
      scales[to + g] = (low | (high << 4)) - 32;
    }
  },
  pack(scales, _mins, from, view, block) {
    const or = (at: number, bits: number) => view.setUint8(at, view.getUint8(at) | bits);
    for (let g = 0; g < 16; g++) {
      const number = (scales[from + g] as number) + 32;
      or(block + 96 + (g & 7), (number & 15) << (4 * (g >> 3)));
      or(block + 104 + (g & 3), (number >> 4) << (2 * (g >> 2)));
    }
  },
};

/** 8 scales and 8 minima of 6 bits in 12 bytes at byte 4: the first 4 of each whole, the last 4 in nibbles and spare high bits. */
const eightSixBitPairs: PackedLevel = {
  type: 'uint8',
  columns: 32,
  sixesAt: 4,
  unpack(view, block, scales, mins, to) {
    for (let g = 0; g < 4; g++) {
      const [scale, min, low] = [view.getUint8(block + 4 + g), view.getUint8(block + 8 + g), view.getUint8(block + 12 + g)];
      scales[to + g] = scale & 63;
      mins[to + g] = min & 63;
      scales[to + g + 4] = (low & 15) | ((scale >> 6) << 4);
      mins[to + g + 4] = (low >> 4) | ((min >> 6) << 4);
    }
  },
  pack(scales, mins, from, view, block) {
    for (let g = 0; g < 4; g++) {
      const [scale, min] = [scales[from + g + 4] as number, mins[from + g + 4] as number];
      view.setUint8(block + 4 + g, (scales[from + g] as number) | ((scale >> 4) << 6));
      view.setUint8(block + 8 + g, (mins[from + g] as number) | ((min >> 4) << 6));
      view.setUint8(block + 12 + g, (scale & 15) | ((min & 15) << 4));
    }
  },
};

/** Scale and minimum g of eightSixBitPairs, as ggml's get_scale_min_k4 reads them. */
function scaleMin(view: DataView, block: number, g: number): [number, number] {
  const s = (j: number) => view.getUint8(block + 4 + j);
  if (g < 4) return [s(g) & 63, s(g + 4) & 63];
  return [(s(g + 4) & 15) | ((s(g - 4) >> 6) << 4), (s(g + 4) >> 4) | ((s(g) >> 6) << 4)];
}

const crumbs = (at: number): BlockPlane => ({width: 2, at, run: 32});
const nibbles = (at: number, run: number): BlockPlane => ({width: 4, at, run});
const bits = (at: number): BlockPlane => ({width: 1, at, run: 32});

/** scales and minima [16], 64 bytes of 2 bits, d, dmin */
const q2_k: BlockType = {
  ...shared,
  name: 'Q2_K',
  bytes: 84,
  planes: [2],
  codes: [crumbs(16)],
  zero: 0,
  scale: d(80),
  offset: dmin(82),
  sub: nibblePairs,
  value(view, block, i) {
    const s = view.getUint8(block + (i >> 4));
    return affine(half(view, block + 80), s & 15, crumb(view, block + 16, i), half(view, block + 82), s >> 4);
  },
};

/** 32 bytes of third bits, 64 bytes of 2 bits, scales [12 bytes], d: d * sc * (q - 4) */
const q3_k: BlockType = {
  ...shared,
  name: 'Q3_K',
  bytes: 110,
  planes: [2, 1],
  codes: [crumbs(32), bits(0)],
  zero: 4,
  scale: d(108),
  sub: sixteenSixBits,
  value(view, block, i) {
    const g = i >> 4;
    const low = (view.getUint8(block + 96 + (g & 7)) >> (4 * (g >> 3))) & 15;
    const high = (view.getUint8(block + 104 + (g & 3)) >> (2 * (g >> 2))) & 3;
    const q = crumb(view, block + 32, i) - (bit(view, block, i) === 1 ? 0 : 4);
    return fround(fround(half(view, block + 108) * ((low | (high << 4)) - 32)) * q);
  },
};

/** d, dmin, scales and minima [12 bytes], 128 bytes of nibbles */
const q4_k: BlockType = {
  ...shared,
  name: 'Q4_K',
  bytes: 144,
  planes: [4],
  codes: [nibbles(16, 32)],
  zero: 0,
  scale: d(0),
  offset: dmin(2),
  sub: eightSixBitPairs,
  value(view, block, i) {
    const [sc, mn] = scaleMin(view, block, i >> 5);
    return affine(half(view, block), sc, nibble(view, block + 16, i), half(view, block + 2), mn);
  },
};

/** d, dmin, scales and minima [12 bytes], 32 bytes of fifth bits, 128 bytes of nibbles */
const q5_k: BlockType = {
  ...shared,
  name: 'Q5_K',
  bytes: 176,
  planes: [4, 1],
  codes: [nibbles(48, 32), bits(16)],
  zero: 0,
  scale: d(0),
  offset: dmin(2),
  sub: eightSixBitPairs,
  value(view, block, i) {
    const [sc, mn] = scaleMin(view, block, i >> 5);
    const q = nibble(view, block + 48, i) | (bit(view, block + 16, i) << 4);
    return affine(half(view, block), sc, q, half(view, block + 2), mn);
  },
};

/** 128 bytes of nibbles (64 bytes to each 128 columns), 64 bytes of 2 high bits, 16 signed scales, d: d * sc * (q - 32) */
const q6_k: BlockType = {
  ...shared,
  name: 'Q6_K',
  bytes: 210,
  planes: [4, 2],
  codes: [nibbles(0, 64), crumbs(128)],
  zero: 32,
  scale: d(208),
  sub: {type: 'int8', at: 192, columns: 16},
  value(view, block, i) {
    const [h, r, l] = [i >> 7, (i >> 5) & 3, i & 31];
    const low = (view.getUint8(block + 64 * h + l + 32 * (r & 1)) >> (4 * (r >> 1))) & 15;
    const q = (low | (crumb(view, block + 128, i) << 4)) - 32;
    return fround(fround(half(view, block + 208) * view.getInt8(block + 192 + (i >> 4))) * q);
  },
};

export const K_QUANTS: readonly BlockType[] = [q2_k, q3_k, q4_k, q5_k, q6_k];
