/**
 * compressed-tensors 'pack-quantized': 1 to 8 bits,
 *   weight_packed I32 [N, ceil(K * bits / 32)] along the inputs, dense, little-endian; weight_scale [N, groups], [N, 1] or [1];
 *   weight_shape I64 or I32 [2]; asymmetric: weight_zero_point I32 [ceil(N * bits / 32), groups] packed along the OUTPUTS (older files: I8
 *   [N, groups]); older act-order files: weight_g_idx I32 [K]; bias [N]
 *   W = (q - z) * scale. Codes and zero points are signed, and stored plus 2^(bits - 1), which cancels.
 */

import type {Grid, LevelType, WeightLayout} from '../../kernels/layout.js';
import {allocateWords, packZeros, partsOf, unpackZeros} from '../../kernels/words.js';
import type {CompressedScheme} from '../config/compressed_groups.js';
import {FileFormatError, ShapeError, UnsupportedError} from '../errors.js';
import {compressedSchemeOf, mayBeCompressed, scaleUseOf, tieOf, withBias} from './compressed_tensors.js';
import {checkBias, matrixShape} from './dense.js';
import {type FileTensor, type Format, type Lowered, type Module, type ModuleHeader, need, refuseOthers} from './format.js';
import {groupingOf} from './grouping.js';
import {schemeOf} from './input_scheme.js';
import {PLANES, packStream, transpose, unpackStream} from './packing.js';
import {scaleGrid} from './scale_grid.js';
import {lowerStreams, raiseStreams} from './stream_codes.js';
import {
  bytesOf,
  dtypeOfLevel,
  fileTensor,
  indexOf,
  int32sOf,
  levelEntries,
  levelNumbers,
  levelTypeOf,
  needBytes,
  needDtype,
  needShape,
  refuseBadScales,
  sameShape,
  wordsOf,
} from './tensors.js';

const fround = Math.fround;
const NAME = 'pack-quantized';
const TENSORS = ['weight_packed', 'weight_scale', 'weight_shape', 'weight_zero_point', 'weight_g_idx', 'bias'];

interface Details {
  readonly bits: number;
  readonly scaleShape: readonly number[];
  /** dtype of weight_shape where it is not I64. */
  readonly shapeType?: 'I32';
  /** dtype of weight_zero_point, or null */
  readonly zeroPoint: string | null;
  /** weight_g_idx: its group map is in the record, it is all -1 (unused), or it is absent. */
  readonly groupMap: 'map' | 'unused' | 'absent';
  readonly alsoMatched?: readonly string[];
}

interface Header {
  readonly outDim: number;
  readonly inDim: number;
  readonly bits: number;
  readonly grid: Grid;
  readonly scaleType: LevelType;
  readonly scheme: CompressedScheme | null;
}

function headerOf(module: Module): Header {
  validate(module);
  const {module: name} = module;
  const shape = need(module, 'weight_shape');
  const Integers = shape.dtype === 'I64' ? BigInt64Array : Int32Array;
  const [outDim, inDim] = Array.from<bigint | number, number>(new Integers(shape.data.slice().buffer), Number) as [number, number];
  const packed = need(module, 'weight_packed');
  const [rows, columns] = matrixShape(packed, `${name}.weight_packed`);
  const scheme = compressedSchemeOf(module, [NAME], 'int', [1, 2, 3, 4, 5, 6, 7, 8]);
  // A short row of words may hold codes of several widths: without a config none is taken.
  const widths = [1, 2, 3, 4, 5, 6, 7, 8].filter((b) => Math.ceil((inDim * b) / 32) === columns);
  const bits = scheme?.weights.bits ?? (widths.length === 1 ? (widths[0] as number) : 0);
  if (rows !== outDim || columns !== Math.ceil((inDim * bits) / 32)) {
    throw new ShapeError({
      where: `${name}.weight_packed`,
      expected: `[${outDim}, ${Math.ceil((inDim * bits) / 32)}] for weight_shape [${outDim}, ${inDim}] and ${bits} bits along the inputs`,
      received: `[${packed.shape}]`,
      why: 32 % bits === 0 ? '' : 'Old versions left bits of each word unused; we read the dense packing.',
    });
  }
  const scale = need(module, 'weight_scale');
  const zeroPoint = module.tensors.get('weight_zero_point');
  const grid = scaleGrid(`${name}.weight_scale`, scale.shape, outDim, inDim, scaleUseOf(scheme, inDim));
  if (zeroPoint === undefined && scheme !== null && !scheme.weights.symmetric) need(module, 'weight_zero_point');
  if (zeroPoint?.dtype === 'I32') {
    const shapes = [Math.ceil((outDim * bits) / 32), grid.shape[1]];
    needShape(name, 'weight_zero_point', zeroPoint, shapes, `${bits} bits packed along the ${outDim} outputs`);
  } else if (zeroPoint !== undefined && !sameShape(zeroPoint.shape, scale.shape)) {
    needShape(name, 'weight_zero_point', zeroPoint, scale.shape, 'as weight_scale');
  }
  checkBias(module, outDim);
  return {outDim, inDim, bits, grid, scaleType: levelTypeOf(name, 'weight_scale', scale), scheme};
}

function validate(module: ModuleHeader): void {
  refuseOthers(module, NAME, TENSORS);
  const scheme = compressedSchemeOf(module, [NAME], 'int', [1, 2, 3, 4, 5, 6, 7, 8]);
  if (scheme !== null) schemeOf(module.module, scheme.input, null, NAME);
  needDtype(module, 'weight_packed', ['I32']);
  needShape(module.module, 'weight_shape', needDtype(module, 'weight_shape', ['I64', 'I32']), [2], '[outputs, inputs]');
  needDtype(module, 'weight_scale', ['F32', 'F16', 'BF16']);
  if (module.tensors.has('weight_zero_point')) needDtype(module, 'weight_zero_point', ['I32', 'I8']);
  if (module.tensors.has('weight_g_idx')) needDtype(module, 'weight_g_idx', ['I32']);
}

/** Zero codes (stored form) row-major on the scale grid, or one number where all are equal. */
function zerosOf(module: Module, {outDim, bits, grid, scheme}: Header): Uint8Array | number {
  const tensor = module.tensors.get('weight_zero_point');
  const middle = 2 ** (bits - 1);
  if (tensor === undefined) return middle;
  const [rows, groups] = grid.shape;
  const zeros = new Uint8Array(rows * groups);
  if (tensor.dtype === 'I8') {
    const stored = new Int8Array(tensor.data.buffer, tensor.data.byteOffset, zeros.length);
    const bad = stored.findIndex((z) => z < -middle || z >= middle);
    if (bad !== -1) {
      const where = `${module.module}.weight_zero_point[${indexOf(bad, tensor.shape)}]`;
      throw new FileFormatError({where, expected: `a zero point from ${-middle} to ${middle - 1}`, received: stored[bad]});
    }
    for (let i = 0; i < zeros.length; i++) zeros[i] = (stored[i] as number) + middle;
  } else {
    const byGroup = new Uint8Array(groups * outDim);
    for (let g = 0; g < groups; g++) unpackStream(wordsOf(tensor), g, groups, bits, outDim, byGroup, g * outDim);
    transpose(byGroup, groups, outDim, zeros);
  }
  const constant = zeros.every((z) => z === zeros[0]) ? (zeros[0] as number) : null;
  if (scheme?.weights.symmetric === true && constant !== middle) {
    throw new UnsupportedError({
      where: `${module.module}.weight_zero_point`,
      expected: 'zero points of 0: the config says symmetric',
      received: 'others',
      why: 'Either the config or the stored zero points are wrong.',
    });
  }
  return constant ?? zeros;
}

/** Group of each input, or null where the file has no map or one of only -1, which its tool ignores. */
function columnsOf(module: Module, header: Header): Int32Array | null {
  const tensor = module.tensors.get('weight_g_idx');
  if (tensor === undefined) return null;
  needShape(module.module, 'weight_g_idx', tensor, [header.inDim], 'one group an input');
  const columns = int32sOf(tensor);
  if (columns.every((g) => g === -1)) return null;
  const groups = header.grid.shape[1];
  const bad = columns.findIndex((g) => g < 0 || g >= groups);
  if (bad === -1) return columns;
  const received = String(columns[bad]);
  throw new FileFormatError({where: `${module.module}.weight_g_idx[${bad}]`, expected: `a group from 0 to ${groups - 1}`, received});
}

/** `raise` returns the file's tensors byte for byte, but for padding bits beyond the last code, which become 0. */
export const compressedPacked: Format = {
  name: NAME,

  recognise(module) {
    return mayBeCompressed(module) && module.tensors.get('weight_packed')?.dtype === 'I32';
  },

  validate,

  lower(module): Lowered {
    for (const [name, tensor] of module.tensors) needBytes(module.module, name, tensor);
    const header = headerOf(module);
    const {outDim, inDim, bits, scaleType, scheme} = header;
    const scale = need(module, 'weight_scale');
    refuseBadScales(module, 'weight_scale', scaleType, scale);
    const zeros = zerosOf(module, header);
    const columns = columnsOf(module, header);
    const groupSize = header.grid.columns;
    const grouping = columns === null ? null : groupingOf(columns, header.grid.shape[1], groupSize);
    const order = grouping?.order ?? null;
    const groupIndex = grouping?.groupIndex ?? null;
    const grid = {...header.grid, indexed: groupIndex !== null};
    const layout: WeightLayout = {
      outDim,
      inDim,
      planes: PLANES[bits] as readonly number[],
      decode: {kind: 'integer'},
      zero: typeof zeros === 'number' ? {kind: 'constant', value: zeros} : {kind: 'codes', grid},
      scales: [{grid, type: scaleType, divide: false}],
      offsets: [],
      ordered: order !== null,
      indexed: groupIndex !== null,
    };
    const words = allocateWords(layout);
    const parts = partsOf(layout, words);
    lowerPacked(wordsOf(need(module, 'weight_packed')), layout, bits, order, parts.codes);
    (parts.scales[0] as Uint16Array).set(levelEntries(scaleType, scale));
    if (typeof zeros !== 'number') packZeros(layout, parts, zeros);
    if (order !== null) parts.order.set(order);
    if (groupIndex !== null) parts.groupIndex.set(groupIndex);
    const details: Details = {
      bits,
      scaleShape: scale.shape,
      ...(need(module, 'weight_shape').dtype === 'I32' ? {shapeType: 'I32'} : {}),
      zeroPoint: module.tensors.get('weight_zero_point')?.dtype ?? null,
      groupMap: columns !== null ? 'map' : module.tensors.has('weight_g_idx') ? 'unused' : 'absent',
      ...tieOf(scheme),
    };
    const origin = {format: NAME, details: {...details}};
    const inputScheme = schemeOf(module.module, scheme?.input ?? null, null, NAME);
    return {layout, words, bias: module.tensors.get('bias') ?? null, inputScheme, origin};
  },

  raise(lowered) {
    const {layout, words} = lowered;
    const {bits, scaleShape, shapeType = 'I64', zeroPoint, groupMap} = lowered.origin.details as unknown as Details;
    const {outDim, inDim} = layout;
    const parts = partsOf(layout, words);
    const level = layout.scales[0]!;
    const order = layout.ordered ? parts.order : null;
    const tensors = new Map<string, FileTensor>();
    const packed = raisePacked(layout, bits, order, parts.codes);
    tensors.set('weight_packed', fileTensor('I32', [outDim, packed.length / outDim], packed));
    tensors.set('weight_scale', fileTensor(dtypeOfLevel(level.type), scaleShape, parts.scales[0]!.slice()));
    const shape = shapeType === 'I32' ? Int32Array.of(outDim, inDim) : BigInt64Array.of(BigInt(outDim), BigInt(inDim));
    tensors.set('weight_shape', fileTensor(shapeType, [2], shape));
    if (zeroPoint !== null) tensors.set('weight_zero_point', raiseZeroPoint(layout, words, bits, zeroPoint, scaleShape));
    if (groupMap !== 'absent') {
      const columns = new Int32Array(inDim).fill(-1);
      for (let j = 0; j < inDim && groupMap === 'map'; j++) {
        const group = layout.indexed ? (parts.groupIndex[j] as number) : Math.floor(j / level.grid.columns);
        columns[order === null ? j : (order[j] as number)] = group;
      }
      tensors.set('weight_g_idx', fileTensor('I32', [inDim], columns));
    }
    return withBias(tensors, lowered);
  },

  reference(module) {
    const header = headerOf(module);
    const {outDim, inDim, bits, grid} = header;
    const packed = wordsOf(need(module, 'weight_packed'));
    const scales = levelNumbers(header.scaleType, need(module, 'weight_scale'));
    const zeros = zerosOf(module, header);
    const columns = columnsOf(module, header);
    const rowWords = packed.length / outDim;
    const codes = new Uint8Array(inDim);
    const weight = new Float32Array(outDim * inDim);
    for (let n = 0; n < outDim; n++) {
      unpackStream(packed, n * rowWords, 1, bits, inDim, codes, 0);
      for (let k = 0; k < inDim; k++) {
        const group = columns === null ? Math.floor(k / grid.columns) : (columns[k] as number);
        const at = Math.floor(n / grid.rows) * grid.shape[1] + group;
        const zero = typeof zeros === 'number' ? zeros : (zeros[at] as number);
        weight[n * inDim + k] = fround(((codes[k] as number) - zero) * (scales[at] as number));
      }
    }
    return weight;
  },
};

function lowerPacked(packed: Uint32Array, layout: WeightLayout, bits: number, order: Int32Array | null, codes: Uint32Array): void {
  // Whole words in the file's order are the record's already, where nothing lies beyond the last code.
  if (order === null && layout.planes.length === 1 && (layout.inDim * bits) % 32 === 0) codes.set(packed);
  else lowerStreams({words: packed, step: packed.length / layout.outDim, stride: 1, bits, planar: false}, layout, order, codes);
}

function raisePacked(layout: WeightLayout, bits: number, order: Uint32Array | null, codes: Uint32Array): Uint32Array {
  const step = Math.ceil((layout.inDim * bits) / 32);
  const words = new Uint32Array(layout.outDim * step);
  raiseStreams({words, step, stride: 1, bits, planar: false}, layout, order, codes);
  return words;
}

function raiseZeroPoint(layout: WeightLayout, words: Int32Array, bits: number, dtype: string, scaleShape: readonly number[]): FileTensor {
  const [rows, groups] = layout.scales[0]!.grid.shape;
  const middle = 2 ** (bits - 1);
  const zeros: Uint8Array = new Uint8Array(rows * groups);
  if (layout.zero.kind === 'constant') zeros.fill(layout.zero.value);
  else zeros.set(unpackZeros(layout, partsOf(layout, words)));
  if (dtype === 'I8') return {dtype, shape: scaleShape, data: bytesOf(Int8Array.from(zeros, (z) => z - middle))};
  const byGroup = new Uint8Array(zeros.length);
  transpose(zeros, rows, groups, byGroup);
  const packed = new Uint32Array(Math.ceil((rows * bits) / 32) * groups);
  for (let g = 0; g < groups; g++) packStream(byGroup, g * rows, rows, bits, packed, g, groups);
  return fileTensor(dtype, [packed.length / groups, groups], packed);
}
