/** The registry: one line a format. */
import {awq} from './awq.js';
import {compressedFloat} from './compressed_float.js';
import {compressedInt} from './compressed_int.js';
import {compressedMxfp4} from './compressed_mxfp4.js';
import {compressedMxfp8} from './compressed_mxfp8.js';
import {compressedPacked} from './compressed_packed.js';
import {dense} from './dense.js';
import type {Format} from './format.js';
import {fp8} from './fp8.js';
import {gguf} from './gguf.js';
import {gptq} from './gptq.js';
import {compressedNvfp4, modeloptNvfp4} from './nvfp4.js';

export const FORMATS: readonly Format[] = [
  dense,
  gguf,
  gptq,
  awq,
  compressedPacked,
  compressedInt,
  compressedFloat,
  compressedNvfp4,
  compressedMxfp4,
  compressedMxfp8,
  fp8,
  modeloptNvfp4,
];
