/**
 * GGUF's 4-bit floats: MXFP4, NVFP4. Source: ggml's block definitions and the OCP microscaling specification. ggml doubles the
 * e2m1 numbers and halves the scales to stay in integers; the products are the same.
 */
import {decodeE8m0, decodeTable} from '../../kernels/float_codes.js';
import type {BlockType} from './gguf_blocks.js';

const fround = Math.fround;
const decode = {kind: 'float', type: 'float4_e2m1fn'} as const;

function e2m1(code: number): number {
  return decodeTable('float4_e2m1fn')[code] as number;
}

/** e8m0 scale, 16 bytes of nibbles */
const mxfp4: BlockType = {
  name: 'MXFP4',
  elements: 32,
  bytes: 17,
  planes: [4],
  codes: [{width: 4, at: 1, run: 16}],
  decode,
  zero: 0,
  scale: {type: 'float8_e8m0fnu', at: 0, columns: 32},
  value(view, block, i) {
    const q = (view.getUint8(block + 1 + (i & 15)) >> (4 * (i >> 4))) & 15;
    return fround(e2m1(q) * decodeE8m0(view.getUint8(block)));
  },
};

/** 4 unsigned e4m3 scales, then 4 times 8 bytes of nibbles. A tensor `scale` multiplies the scales where there is one. */
const nvfp4: BlockType = {
  name: 'NVFP4',
  elements: 64,
  bytes: 36,
  planes: [4],
  codes: [{width: 4, at: 4, run: 8}],
  decode,
  zero: 0,
  scale: {type: 'float8_e4m3fn', at: 0, columns: 16},
  tensorScale: true,
  value(view, block, i, tensorScale) {
    const q = (view.getUint8(block + 4 + 8 * (i >> 4) + (i & 7)) >> (4 * ((i >> 3) & 1))) & 15;
    const scale = decodeTable('float8_e4m3fn')[view.getUint8(block + (i >> 4))] as number;
    return fround(e2m1(q) * fround(scale * tensorScale));
  },
};

export const FP4: readonly BlockType[] = [mxfp4, nvfp4];
