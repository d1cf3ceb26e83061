/**
 * GGUF's block types: `weight` [N, K] whose dtype is ggml's name and whose data are the blocks as stored, row after row,
 * with an optional `bias`. One format for all types; gguf_types.ts describes each.
 */
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, type LevelView, type Parts, partsOf} from '../../kernels/words.js';
import {ShapeError, UnsupportedError} from '../errors.js';
import {checkBias, checkBytes, matrixShape} from './dense.js';
import {type FileTensor, type Format, type Module, type ModuleHeader, need, refuseOthers} from './format.js';
import type {BlockType, CodePacking} from './gguf_blocks.js';
import {levelsOf, readStored, readSub, writeStored, writeSub} from './gguf_levels.js';
import {type BlockPlane, gatherPlane, scatterPlane} from './gguf_planes.js';
import {GGUF_TYPES} from './gguf_types.js';

const FLOATS = ['F32', 'F16', 'BF16'];

interface Problem {
  readonly type: BlockType;
  readonly outDim: number;
  readonly inDim: number;
  readonly where: string;
}

/** Throws UnsupportedError for a ggml type we do not read, ShapeError where a row is not whole blocks. */
function problemOf(module: ModuleHeader): Problem {
  const weight = need(module, 'weight');
  const where = `${module.module}.weight`;
  const type = GGUF_TYPES.get(weight.dtype);
  if (type === undefined) {
    throw new UnsupportedError({
      where,
      expected: `a ggml type we read: ${[...FLOATS, ...GGUF_TYPES.keys()].join(', ')}`,
      received: weight.dtype,
      remedy: 'Fetch the model in one of those types, or convert it with llama-quantize.',
    });
  }
  const [outDim, inDim] = matrixShape(weight, where);
  if (inDim % type.elements !== 0) {
    throw new ShapeError({
      where,
      expected: `rows of whole ${type.name} blocks, ${type.elements} weights each`,
      received: `[${outDim}, ${inDim}]: a row of ${inDim} is not a multiple of ${type.elements}`,
      why: 'Blocks never cross rows in a GGUF file, so such a tensor cannot have been written by ggml.',
    });
  }
  return {type, outDim, inDim, where};
}

function layoutOf({type, outDim, inDim}: Problem): WeightLayout {
  return {
    outDim,
    inDim,
    planes: type.planes,
    decode: type.decode,
    zero: type.zero === 0 ? {kind: 'none'} : {kind: 'constant', value: type.zero},
    ...levelsOf(type, outDim, inDim),
    ordered: false,
    indexed: false,
  };
}

function isPlanes(codes: readonly BlockPlane[] | CodePacking): codes is readonly BlockPlane[] {
  return Array.isArray(codes);
}

/** Calls `visit(block's byte, first word in the codes section)` for every block of one plane. */
function eachBlock(layout: WeightLayout, type: BlockType, plane: number, visit: (block: number, word: number) => void): void {
  const {rowWords, planeStarts} = sectionsOf(layout);
  const words = (type.elements * (type.planes[plane] as number)) / 32;
  const blocks = layout.inDim / type.elements;
  let block = 0;
  for (let n = 0; n < layout.outDim; n++) {
    let word = n * rowWords + (planeStarts[plane] as number);
    for (let b = 0; b < blocks; b++, block += type.bytes, word += words) visit(block, word);
  }
}

function readCodes(view: DataView, type: BlockType, layout: WeightLayout, out: Uint32Array): void {
  const {codes, elements} = type;
  if (!isPlanes(codes)) eachBlock(layout, type, 0, (block, word) => codes.unpack(view, block, out, word));
  else codes.forEach((plane, p) => eachBlock(layout, type, p, (block, word) => gatherPlane(view, block, plane, elements, out, word)));
}

function writeCodes(words: Uint32Array, type: BlockType, layout: WeightLayout, view: DataView): void {
  const {codes, elements} = type;
  if (!isPlanes(codes)) eachBlock(layout, type, 0, (block, word) => codes.pack(words, word, view, block));
  else codes.forEach((plane, p) => eachBlock(layout, type, p, (block, word) => scatterPlane(words, word, plane, elements, view, block)));
}

function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function lowerBlocks(problem: Problem, weight: FileTensor, layout: WeightLayout, parts: Parts): void {
  const {type, inDim, where} = problem;
  const view = dataView(weight.data);
  const perRow = inDim / type.elements;
  // Scales first: a bad one is found before the long loop.
  readStored(view, type, type.scale, parts.scales[0] as LevelView, where, perRow);
  if (type.offset !== undefined) readStored(view, type, type.offset, parts.offsets[0] as LevelView, where, perRow);
  readSub(view, type, parts.scales[1] as LevelView, parts.offsets[1], where, perRow);
  readCodes(view, type, layout, parts.codes);
}

/** Every ggml block type. `raise` returns the same bytes. */
export const gguf: Format = {
  name: 'gguf',

  recognise(module) {
    const weight = module.tensors.get('weight');
    return module.container === 'gguf' && weight !== undefined && !FLOATS.includes(weight.dtype);
  },

  validate(module) {
    checkBias(module, problemOf(module).outDim);
    refuseOthers(module, gguf.name, ['weight', 'bias']);
  },

  lower(module) {
    gguf.validate(module);
    const problem = problemOf(module);
    const {type, outDim, inDim, where} = problem;
    const weight = need(module, 'weight');
    checkBytes(weight, (outDim * inDim * type.bytes) / type.elements, where);
    const layout = layoutOf(problem);
    const words = allocateWords(layout);
    lowerBlocks(problem, weight, layout, partsOf(layout, words));
    const bias = module.tensors.get('bias') ?? null;
    return {layout, words, bias, inputScheme: null, origin: {format: gguf.name, details: {type: type.name}}};
  },

  raise({layout, words, bias, origin}) {
    const type = GGUF_TYPES.get(origin.details.type as string) as BlockType;
    const {outDim, inDim} = layout;
    const parts = partsOf(layout, words);
    const data = new Uint8Array((outDim * inDim * type.bytes) / type.elements);
    const view = dataView(data);
    writeStored(view, type, type.scale, parts.scales[0] as LevelView);
    if (type.offset !== undefined) writeStored(view, type, type.offset, parts.offsets[0] as LevelView);
    writeSub(view, type, parts.scales[1] as LevelView, parts.offsets[1]);
    writeCodes(parts.codes, type, layout, view);
    const tensors = new Map<string, FileTensor>([['weight', {dtype: type.name, shape: [outDim, inDim], data}]]);
    if (bias !== null) tensors.set('bias', bias);
    return tensors;
  },

  reference(module: Module) {
    const {type, outDim, inDim} = problemOf(module);
    const view = dataView(need(module, 'weight').data);
    const out = new Float32Array(outDim * inDim);
    for (let k = 0, block = 0; k < out.length; k += type.elements, block += type.bytes) {
      for (let i = 0; i < type.elements; i++) out[k + i] = type.value(view, block, i);
    }
    return out;
  },
};
