/**
 * GGUF's block types: `weight` [N, K] whose dtype is ggml's name and whose data are the blocks as stored, row after row,
 * with an optional `bias`. One format for all types; gguf_types.ts describes each.
 */
import {type Level, sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {loweringModule} from '../../kernels/lowering.js';
import {HOST} from '../../kernels/record_words.js';
import {type LevelView, type Parts, partsOf} from '../../kernels/words.js';
import {FileFormatError, UnsupportedError} from '../errors.js';
import {checkBias, checkBytes} from './dense.js';
import {type FileTensor, type Format, lowerWhole, type Module, need, refuseOthers} from './format.js';
import {type BlockType, isPlanes} from './gguf_blocks.js';
import {gatherBlocks} from './gguf_gather.js';
import {checkRow, FLOATS, layoutOf, type Problem, problemOf} from './gguf_header.js';
import {readStored, readSub, writeStored, writeSub} from './gguf_levels.js';
import {gatherPlane, scatterPlane} from './gguf_planes.js';
import {BLOCK_TYPES} from './gguf_types.js';
import {bytesOf} from './tensors.js';

/** The number of the tensor `scale`; 1 where there is none. */
function tensorScaleOf(module: Module, {scaled}: Problem): number {
  if (!scaled) return 1;
  const tensor = need(module, 'scale');
  checkBytes(tensor, 4, `${module.module}.scale`);
  const scale = dataView(tensor.data).getFloat32(0, true);
  if (Number.isFinite(scale)) return scale;
  throw new FileFormatError({where: `${module.module}.scale`, expected: 'a finite scale', received: scale});
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

/** The codes of the rows in `view` into those from row `first` on. */
function readCodes(view: DataView, type: BlockType, layout: WeightLayout, out: Uint32Array, first: number): void {
  const {codes, elements, bytes} = type;
  const {rowWords, planeStarts} = sectionsOf(layout);
  const perRow = layout.inDim / elements;
  const blocks = {rows: view.byteLength / (perRow * bytes), perRow, bytes, elements};
  if (isPlanes(codes)) {
    codes.forEach((plane, p) => gatherPlane(view, blocks, plane, out, first * rowWords + (planeStarts[p] as number), rowWords));
    return;
  }
  eachBlock({...layout, outDim: blocks.rows}, type, 0, (block, word) => codes.unpack(view, block, out, first * rowWords + word));
}

function writeCodes(words: Uint32Array, type: BlockType, layout: WeightLayout, view: DataView): void {
  const {codes, elements} = type;
  if (!isPlanes(codes)) eachBlock(layout, type, 0, (block, word) => codes.pack(words, word, view, block));
  else codes.forEach((plane, p) => eachBlock(layout, type, p, (block, word) => scatterPlane(words, word, plane, elements, view, block)));
}

function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Bytes of a row in the file. */
const rowBytesOf = ({type, inDim}: Pick<Problem, 'type' | 'inDim'>): number => (inDim / type.elements) * type.bytes;

/** Blocks of the rows from `first` on. */
export function lowerBlocks(
  {type, where}: Pick<Problem, 'type' | 'where'>,
  data: Uint8Array,
  layout: WeightLayout,
  parts: Parts,
  first: number,
  module = loweringModule(),
): void {
  const view = dataView(data);
  const perRow = layout.inDim / type.elements;
  const from = {where, perRow, first: first * perRow};
  if (module !== null && gatherBlocks(module, data, type, layout, parts, from)) return;
  // Scales first: a bad one is found before the long loop.
  readStored(view, type, type.scale, parts.scales[0] as LevelView, from);
  if (type.offset !== undefined) readStored(view, type, type.offset, parts.offsets[0] as LevelView, from);
  readSub(view, type, parts.scales[1] as LevelView, parts.offsets[1], from);
  readCodes(view, type, layout, parts.codes, first);
}

/** Throws UnsupportedError where a cut went through a block: what is left of it has no place in the file's layout. */
function checkWhole(layout: WeightLayout, type: BlockType): void {
  const phase = (layout.scales[0] as Level).grid.columnPhase;
  if (layout.inDim % type.elements === 0 && phase === 0) return;
  throw new UnsupportedError({
    where: `raise to ${type.name}`,
    expected: `rows of whole blocks of ${type.elements} weights`,
    received: `rows of ${layout.inDim} that begin ${phase} weights into a block`,
    remedy: `Cut columns at multiples of ${type.elements}, or save the weight before cutting it.`,
  });
}

/**
 * Every ggml block type. `raise` returns the same bytes, but for TQ1_0 bytes that ggml never writes (13 of 256): the byte that
 * reads as the same five codes stands for them.
 */
export const gguf: Format = {
  name: 'gguf',

  encodings: [...BLOCK_TYPES.keys()],

  allocate(encoding, outDim, inDim) {
    const type = BLOCK_TYPES.get(encoding);
    if (type === undefined) return null;
    checkRow(type, outDim, inDim, encoding);
    return layoutOf({type, outDim, inDim, scaled: false});
  },

  recognise(module) {
    const weight = module.tensors.get('weight');
    return module.container === 'gguf' && weight !== undefined && !FLOATS.includes(weight.dtype);
  },

  validate(module) {
    const {type, outDim} = problemOf(module);
    checkBias(module, outDim);
    refuseOthers(module, type.name, ['weight', 'bias', ...(type.tensorScale === true ? ['scale'] : [])]);
  },

  pieces(module) {
    return {tensor: 'weight', rowBytes: rowBytesOf(problemOf(module))};
  },

  lower(module) {
    gguf.validate(module);
    const problem = problemOf(module);
    const weight = need(module, 'weight');
    checkBytes(weight, problem.outDim * rowBytesOf(problem), problem.where);
    return lowerWhole(gguf.begin!(module), weight.data);
  },

  begin(module, memory = HOST) {
    gguf.validate(module);
    const problem = problemOf(module);
    const {type, scaled} = problem;
    const layout = layoutOf(problem);
    const record = memory.record(layout, isPlanes(type.codes));
    if (scaled) (record.parts.scales[1] as Float32Array)[0] = tensorScaleOf(module, problem);
    const bias = module.tensors.get('bias') ?? null;
    const rowBytes = rowBytesOf(problem);
    let rows = 0;
    return {
      add(bytes) {
        lowerBlocks(problem, bytes, layout, record.parts, rows, record.lowering);
        rows += bytes.length / rowBytes;
      },
      finish: () => ({
        layout,
        words: record.words,
        bias,
        inputScheme: null,
        origin: {format: gguf.name, details: {type: type.name, scaled}},
      }),
    };
  },

  raise({layout, words, bias, origin}) {
    const type = BLOCK_TYPES.get(origin.details.type as string) as BlockType;
    const {outDim, inDim} = layout;
    const scaled = origin.details.scaled === true;
    checkWhole(layout, type);
    const parts = partsOf(layout, words);
    const data = new Uint8Array((outDim * inDim * type.bytes) / type.elements);
    const view = dataView(data);
    writeStored(view, type, type.scale, parts.scales[0] as LevelView);
    if (type.offset !== undefined) writeStored(view, type, type.offset, parts.offsets[0] as LevelView);
    writeSub(view, type, parts.scales[1] as LevelView, parts.offsets[1]);
    writeCodes(parts.codes, type, layout, view);
    const tensors = new Map<string, FileTensor>([['weight', {dtype: type.name, shape: [outDim, inDim], data}]]);
    if (scaled) tensors.set('scale', {dtype: 'F32', shape: [1], data: bytesOf((parts.scales[1] as Float32Array).slice())});
    if (bias !== null) tensors.set('bias', bias);
    return tensors;
  },

  reference(module: Module) {
    const problem = problemOf(module);
    const {type, outDim, inDim} = problem;
    const tensorScale = tensorScaleOf(module, problem);
    const view = dataView(need(module, 'weight').data);
    const out = new Float32Array(outDim * inDim);
    for (let k = 0, block = 0; k < out.length; k += type.elements, block += type.bytes) {
      for (let i = 0; i < type.elements; i++) out[k + i] = type.value(view, block, i, tensorScale);
    }
    return out;
  },
};
