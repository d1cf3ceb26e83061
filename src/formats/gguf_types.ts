/** The GGUF block types we read: a type is a row here. */
import type {BlockType} from './gguf_blocks.js';
import {LEGACY} from './gguf_legacy.js';

/** By ggml's name. F32, F16 and BF16 have no blocks: see dense.ts. */
export const GGUF_TYPES: ReadonlyMap<string, BlockType> = new Map([...LEGACY].map((type) => [type.name, type]));
