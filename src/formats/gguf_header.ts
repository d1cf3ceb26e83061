/** What a GGUF module says of itself before its bytes are read, checked, and the layout of the record that follows from it. */
import {grid, type WeightLayout} from '../../kernels/layout.js';
import {ShapeError, UnsupportedError} from '../errors.js';
import {matrixShape} from './dense.js';
import {type ModuleHeader, need} from './format.js';
import type {BlockType} from './gguf_blocks.js';
import {levelsOf} from './gguf_levels.js';
import {BLOCK_TYPES} from './gguf_types.js';

/** ggml's types without blocks, read by dense.ts. */
export const FLOATS = ['F32', 'F16', 'BF16'];

export interface Problem {
  readonly type: BlockType;
  readonly outDim: number;
  readonly inDim: number;
  readonly where: string;
  /** A tensor `scale` multiplies the block scales. */
  readonly scaled: boolean;
}

/** Throws ShapeError unless rows are whole blocks. */
export function checkRow(type: BlockType, outDim: number, inDim: number, where: string): void {
  if (inDim % type.elements === 0) return;
  throw new ShapeError({
    where,
    expected: `rows of whole ${type.name} blocks, ${type.elements} weights each`,
    received: `[${outDim}, ${inDim}]: a row of ${inDim} is not a multiple of ${type.elements}`,
    why: 'Blocks never cross rows in a GGUF file, so such a tensor cannot have been written by ggml.',
  });
}

/** Throws UnsupportedError for a ggml type we do not read, ShapeError where a row is not whole blocks. */
export function problemOf(module: ModuleHeader): Problem {
  const weight = need(module, 'weight');
  const where = `${module.module}.weight`;
  const type = BLOCK_TYPES.get(weight.dtype);
  if (type === undefined) {
    throw new UnsupportedError({
      where,
      expected: `a ggml type we read: ${[...FLOATS, ...BLOCK_TYPES.keys()].join(', ')}`,
      received: weight.dtype,
      remedy: 'Fetch the model in one of those types, or convert it with llama-quantize.',
    });
  }
  const [outDim, inDim] = matrixShape(weight, where);
  checkRow(type, outDim, inDim, where);
  const scaled = type.tensorScale === true && module.tensors.has('scale');
  if (scaled) checkTensorScale(module);
  return {type, outDim, inDim, where, scaled};
}

/** llama.cpp multiplies the product by this number, which is the same up to rounding as multiplying the block scales. */
function checkTensorScale(module: ModuleHeader): void {
  const {dtype, shape} = need(module, 'scale');
  if (dtype === 'F32' && shape.length === 1 && shape[0] === 1) return;
  throw new UnsupportedError({
    where: `${module.module}.scale`,
    expected: 'one F32 number for the whole weight, [1]',
    received: `${dtype} [${shape}]`,
  });
}

/** The record's layout of an [outDim, inDim] weight of this type. */
export function layoutOf({type, outDim, inDim, scaled}: Omit<Problem, 'where'>): WeightLayout {
  const {scales, offsets} = levelsOf(type, outDim, inDim);
  if (scaled) scales.push({grid: grid(outDim, inDim, outDim, inDim), type: 'float32', divide: false});
  return {
    outDim,
    inDim,
    planes: type.planes,
    decode: type.decode,
    zero: type.zero === 0 ? {kind: 'none'} : {kind: 'constant', value: type.zero},
    scales,
    offsets,
    ordered: false,
    indexed: false,
  };
}
