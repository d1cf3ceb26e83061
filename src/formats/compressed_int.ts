/**
 * compressed-tensors 'int-quantized' ('naive-quantized' with an I8 weight): one byte a code,
 *   weight I8 [N, K], weight_scale [1], [N, 1] or [N, groups], asymmetric: weight_zero_point I8 like the scale, bias [N];
 *   static inputs: input_scale [1].  W = (q - z) * scale.
 * The record's codes are unsigned: q + 128 and z + 128.
 */

import {type Grid, type LevelType, sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, type Parts, packZeros, partsOf, unpackZeros} from '../../kernels/words.js';
import type {CompressedScheme} from '../config/compressed_groups.js';
import {copyByteRows} from './byte_rows.js';
import {compressedSchemeOf, mayBeCompressed, scaleUseOf, tieOf, withBias} from './compressed_tensors.js';
import {checkBias, matrixShape} from './dense.js';
import {type FileTensor, type Format, type Lowered, type Module, type ModuleHeader, need, refuseOthers} from './format.js';
import {type StoredScalar, scalarOf, scalarTensor, schemeOf} from './input_scheme.js';
import {scaleGrid} from './scale_grid.js';
import {
  bytesOf,
  dtypeOfLevel,
  fileTensor,
  levelEntries,
  levelNumbers,
  levelTypeOf,
  needBytes,
  needDtype,
  needShape,
  refuseBadScales,
} from './tensors.js';
import {idleZeroPoint, zeroTensor} from './zero_points.js';

const fround = Math.fround;
const NAME = 'int-quantized';
const TENSORS = ['weight', 'weight_scale', 'weight_zero_point', 'input_scale', 'input_zero_point', 'bias'];
const MIDDLE = 128;

interface Details {
  readonly scaleShape: readonly number[];
  readonly zeroPoint: boolean;
  readonly inputScale: StoredScalar | null;
  readonly inputZeroPoint: {dtype: string; shape: readonly number[]} | null;
  readonly alsoMatched?: readonly string[];
}

interface Header {
  readonly outDim: number;
  readonly inDim: number;
  readonly grid: Grid;
  readonly scaleType: LevelType;
  readonly scheme: CompressedScheme | null;
}

function headerOf(module: ModuleHeader): Header {
  const {module: name} = module;
  refuseOthers(module, NAME, TENSORS);
  const scheme = compressedSchemeOf(module, [NAME, 'naive-quantized'], 'int', [2, 3, 4, 5, 6, 7, 8]);
  const [outDim, inDim] = matrixShape(needDtype(module, 'weight', ['I8']), `${name}.weight`);
  const scale = needDtype(module, 'weight_scale', ['F32', 'F16', 'BF16']);
  const grid = scaleGrid(`${name}.weight_scale`, scale.shape, outDim, inDim, scaleUseOf(scheme, inDim));
  if (scheme !== null && !scheme.weights.symmetric) need(module, 'weight_zero_point');
  if (module.tensors.has('weight_zero_point')) {
    needShape(name, 'weight_zero_point', needDtype(module, 'weight_zero_point', ['I8']), scale.shape, 'as weight_scale');
  }
  checkBias(module, outDim);
  return {outDim, inDim, grid, scaleType: levelTypeOf(name, 'weight_scale', scale), scheme};
}

/** Zero points plus 128 on the scale grid, or one number where all are equal. */
function zerosOf(module: Module, scheme: CompressedScheme | null): Uint8Array | number {
  if (scheme?.weights.symmetric === true) idleZeroPoint(module, 'weight_zero_point');
  const tensor = module.tensors.get('weight_zero_point');
  if (tensor === undefined) return MIDDLE;
  const zeros = tensor.data.map((z) => z ^ MIDDLE);
  return zeros.every((z) => z === zeros[0]) ? (zeros[0] as number) : zeros;
}

/** Signed bytes to unsigned ones and back, four at a time; what lies beyond K in a row's last word stays 0. */
function flipSigns(layout: WeightLayout, parts: Parts): void {
  const {rowWords} = sectionsOf(layout);
  const {codes} = parts;
  for (let i = 0; i < codes.length; i++) codes[i]! ^= 0x80808080;
  const used = layout.inDim % 4;
  if (used !== 0) for (let n = 0; n < layout.outDim; n++) codes[n * rowWords + rowWords - 1]! &= 2 ** (8 * used) - 1;
}

/** `raise` returns the file's tensors byte for byte. */
export const compressedInt: Format = {
  name: NAME,

  recognise(module) {
    const {tensors} = module;
    return mayBeCompressed(module) && tensors.get('weight')?.dtype === 'I8' && tensors.has('weight_scale');
  },

  validate(module) {
    headerOf(module);
  },

  lower(module): Lowered {
    for (const [name, tensor] of module.tensors) needBytes(module.module, name, tensor);
    const {outDim, inDim, grid, scaleType, scheme} = headerOf(module);
    const scale = need(module, 'weight_scale');
    refuseBadScales(module, 'weight_scale', scaleType, scale);
    const inputScale = scalarOf(module, 'input_scale');
    const inputZeroPoint = idleZeroPoint(module, 'input_zero_point');
    const inputScheme = schemeOf(module.module, scheme?.input ?? null, inputScale?.value ?? null, NAME);
    const zeros = zerosOf(module, scheme);
    const layout: WeightLayout = {
      outDim,
      inDim,
      planes: [8],
      decode: {kind: 'integer'},
      zero: typeof zeros === 'number' ? {kind: 'constant', value: zeros} : {kind: 'codes', grid},
      scales: [{grid, type: scaleType, divide: false}],
      offsets: [],
      ordered: false,
      indexed: false,
    };
    const words = allocateWords(layout);
    const parts = partsOf(layout, words);
    copyByteRows(layout, parts, need(module, 'weight').data, inDim, 'lower');
    flipSigns(layout, parts);
    (parts.scales[0] as Uint16Array).set(levelEntries(scaleType, scale));
    if (typeof zeros !== 'number') packZeros(layout, parts, zeros);
    const zeroPoint = module.tensors.has('weight_zero_point');
    const details: Details = {scaleShape: scale.shape, zeroPoint, inputScale, inputZeroPoint, ...tieOf(scheme)};
    return {layout, words, bias: module.tensors.get('bias') ?? null, inputScheme, origin: {format: NAME, details: {...details}}};
  },

  raise(lowered) {
    const {layout} = lowered;
    const {scaleShape, zeroPoint, inputScale, inputZeroPoint} = lowered.origin.details as unknown as Details;
    // Flipping happens in place, so on a copy of the caller's words.
    const parts = partsOf(layout, lowered.words.slice());
    flipSigns(layout, parts);
    const {outDim, inDim} = layout;
    const level = layout.scales[0]!;
    const weight = new Uint8Array(outDim * inDim);
    copyByteRows(layout, parts, weight, inDim, 'raise');
    const tensors = new Map<string, FileTensor>([['weight', {dtype: 'I8', shape: [outDim, inDim], data: weight}]]);
    tensors.set('weight_scale', fileTensor(dtypeOfLevel(level.type), scaleShape, parts.scales[0]!.slice()));
    if (zeroPoint) {
      const count = level.grid.shape[0] * level.grid.shape[1];
      const zeros = layout.zero.kind === 'constant' ? new Uint8Array(count).fill(layout.zero.value) : unpackZeros(layout, parts);
      tensors.set('weight_zero_point', {dtype: 'I8', shape: scaleShape, data: bytesOf(zeros.map((z) => z ^ MIDDLE))});
    }
    if (inputScale !== null) tensors.set('input_scale', scalarTensor(inputScale));
    if (inputZeroPoint !== null) tensors.set('input_zero_point', zeroTensor(inputZeroPoint));
    return withBias(tensors, lowered);
  },

  reference(module) {
    const {outDim, inDim, grid, scaleType, scheme} = headerOf(module);
    const {data} = need(module, 'weight');
    const codes = new Int8Array(data.buffer, data.byteOffset, data.byteLength);
    const scales = levelNumbers(scaleType, need(module, 'weight_scale'));
    const zeros = zerosOf(module, scheme);
    const weight = new Float32Array(outDim * inDim);
    for (let n = 0; n < outDim; n++) {
      for (let k = 0; k < inDim; k++) {
        const at = Math.floor(n / grid.rows) * grid.shape[1] + Math.floor(k / grid.columns);
        const zero = (typeof zeros === 'number' ? zeros : (zeros[at] as number)) - MIDDLE;
        weight[n * inDim + k] = fround(((codes[n * inDim + k] as number) - zero) * (scales[at] as number));
      }
    }
    return weight;
  },
};
