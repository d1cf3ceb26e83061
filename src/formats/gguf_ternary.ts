/** GGUF's codes of three values, d * (q - 1): TQ1_0 (five to a byte) and TQ2_0 (two bits each). Source: ggml's block definitions. */
import type {BlockType, CodePacking} from './gguf_blocks.js';
import {half} from './gguf_half.js';

const fround = Math.fround;

/**
 * Runs of bytes of a TQ1_0 block: digit n of byte m is column `column` + n * bytes + m. A byte is the fraction
 * 0.d0 d1 d2 d3 d4 in base 3, scaled to 256 and rounded up; the last 4 bytes hold four digits.
 */
const RUNS = [
  {at: 0, bytes: 32, digits: 5, column: 0},
  {at: 32, bytes: 16, digits: 5, column: 160},
  {at: 48, bytes: 4, digits: 4, column: 240},
] as const;
const POWERS = [1, 3, 9, 27, 81] as const;

/** Digit n of a byte: shift it to the front modulo 1, then take the whole part of three times that. */
function digit(byte: number, n: number): number {
  return (((byte * (POWERS[n] as number)) & 255) * 3) >> 8;
}

/** The five digits of each byte, two bits each, first lowest. */
const DIGITS = Uint16Array.from({length: 256}, (_, byte) => {
  let digits = 0;
  for (let n = 0; n < 5; n++) digits |= digit(byte, n) << (2 * n);
  return digits;
});

/** The byte of five digits packed as in DIGITS. */
const BYTES = new Uint8Array(1024);
for (let number = 0; number < 243; number++) {
  // ceil(number * 256 / 243), as ggml writes it. 13 bytes are never written; they read as the digits of a byte that is.
  const byte = Math.floor((number * 256 + 242) / 243);
  BYTES[DIGITS[byte] as number] = byte;
}

const trits: CodePacking = {
  unpack(view, block, out, to) {
    for (const {at, bytes, digits, column} of RUNS) {
      for (let m = 0; m < bytes; m++) {
        let packed = DIGITS[view.getUint8(block + at + m)] as number;
        for (let i = column + m, n = 0; n < digits; n++, i += bytes, packed >>= 2) {
          out[to + (i >> 4)] = (out[to + (i >> 4)] as number) | ((packed & 3) << (2 * (i & 15)));
        }
      }
    }
  },
  pack(words, from, view, block) {
    for (const {at, bytes, digits, column} of RUNS) {
      for (let m = 0; m < bytes; m++) {
        let packed = 0;
        for (let i = column + m, n = 0; n < digits; n++, i += bytes) {
          packed |= (((words[from + (i >> 4)] as number) >>> (2 * (i & 15))) & 3) << (2 * n);
        }
        view.setUint8(block + at + m, BYTES[packed] as number);
      }
    }
  },
};

/** 52 bytes of digits, d */
const tq1_0: BlockType = {
  name: 'TQ1_0',
  elements: 256,
  bytes: 54,
  planes: [2],
  codes: trits,
  decode: {kind: 'integer'},
  zero: 1,
  scale: {type: 'float16', at: 52, columns: 256},
  value(view, block, i) {
    const run = RUNS[i < 160 ? 0 : i < 240 ? 1 : 2];
    const [n, m] = [Math.floor((i - run.column) / run.bytes), (i - run.column) % run.bytes];
    return fround(half(view, block + 52) * (digit(view.getUint8(block + run.at + m), n) - 1));
  },
};

/** 64 bytes of 2 bits, d */
const tq2_0: BlockType = {
  name: 'TQ2_0',
  elements: 256,
  bytes: 66,
  planes: [2],
  codes: [{width: 2, at: 0, run: 32}],
  decode: {kind: 'integer'},
  zero: 1,
  scale: {type: 'float16', at: 64, columns: 256},
  value(view, block, i) {
    const q = (view.getUint8(block + 32 * (i >> 7) + (i & 31)) >> (2 * ((i >> 5) & 3))) & 3;
    return fround(half(view, block + 64) * (q - 1));
  },
};

export const TERNARY: readonly BlockType[] = [tq1_0, tq2_0];
