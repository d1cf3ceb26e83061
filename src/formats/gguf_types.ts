/** The GGUF block types we read: a type is a row here. */
import type {BlockType} from './gguf_blocks.js';
import {FP4} from './gguf_fp4.js';
import {IQ4} from './gguf_iq4.js';
import {K_QUANTS} from './gguf_k.js';
import {LEGACY} from './gguf_legacy.js';
import {TERNARY} from './gguf_ternary.js';

/** By ggml's name. F32, F16 and BF16 have no blocks: see dense.ts. */
export const BLOCK_TYPES: ReadonlyMap<string, BlockType> = new Map(
  [...LEGACY, ...K_QUANTS, ...IQ4, ...FP4, ...TERNARY].map((type) => [type.name, type]),
);
