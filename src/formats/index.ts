/** The registry: one line a format. */
import {awq} from './awq.js';
import {dense} from './dense.js';
import type {Format} from './format.js';
import {gguf} from './gguf.js';
import {gptq} from './gptq.js';

export const FORMATS: readonly Format[] = [dense, gguf, gptq, awq];
