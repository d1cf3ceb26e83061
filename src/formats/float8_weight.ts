/** A weight of one 8-bit float a code with one level of scales, whatever the scales are called: to the record and back. */
import {decodeTable} from '../../kernels/float_codes.js';
import {type FloatType, floatLayout, type Grid, type LevelType, type WeightLayout} from '../../kernels/layout.js';
import {HOST, type RecordMemory, type RecordWords} from '../../kernels/record_words.js';
import {partsOf} from '../../kernels/words.js';
import {copyByteRows, refuseNaNCodes} from './byte_rows.js';
import {type FileTensor, type Module, need} from './format.js';
import {dtypeOfLevel, fileTensor, levelEntries, levelNumbers, needBytes, refuseBadScales} from './tensors.js';

const fround = Math.fround;

export interface Float8Weight {
  readonly outDim: number;
  readonly inDim: number;
  readonly type: Exclude<FloatType, 'float32'>;
  readonly scale: {
    /** Local name of the scale tensor. */
    readonly name: string;
    readonly grid: Grid;
    readonly type: LevelType;
    /** W = q / scale. */
    readonly divide: boolean;
  } | null;
}

/** A record whose codes come in pieces. */
export interface Float8Lowering {
  readonly layout: WeightLayout;
  readonly record: RecordWords;
  /** The next rows. Throws FileFormatError at a NaN code. */
  add(bytes: Uint8Array): void;
}

/** Which tensor comes in pieces. */
export function float8Pieces({inDim}: Float8Weight): {tensor: string; rowBytes: number} {
  return {tensor: 'weight', rowBytes: inDim};
}

/** Throws FileFormatError at a scale that is not finite, or a 0 to divide by. */
export function beginFloat8(module: Module, {outDim, inDim, type, scale}: Float8Weight, memory: RecordMemory = HOST): Float8Lowering {
  for (const [name, tensor] of module.tensors) if (name !== 'weight') needBytes(module.module, name, tensor);
  if (scale !== null) refuseBadScales(module, scale.name, scale.type, need(module, scale.name), scale.divide);
  const scales = scale === null ? [] : [{grid: scale.grid, type: scale.type, divide: scale.divide}];
  const layout = floatLayout(type, outDim, inDim, scales);
  const record = memory.record(layout, inDim % 4 === 0);
  if (scale !== null) (record.parts.scales[0] as Uint16Array).set(levelEntries(scale.type, need(module, scale.name)));
  let rows = 0;
  return {
    layout,
    record,
    add(bytes) {
      refuseNaNCodes(`${module.module}.weight`, type, inDim, bytes, rows);
      copyByteRows(layout, record.parts, bytes, inDim, 'lower', rows);
      rows += bytes.length / inDim;
    },
  };
}

/** `weight` with this dtype, and the scale tensor. */
export function raiseFloat8(
  layout: WeightLayout,
  words: Int32Array,
  dtype: string,
  scale: {name: string; shape: readonly number[]; dtype?: string} | null,
): Map<string, FileTensor> {
  const {outDim, inDim} = layout;
  const parts = partsOf(layout, words);
  const data = new Uint8Array(outDim * inDim);
  copyByteRows(layout, parts, data, inDim, 'raise');
  const tensors = new Map<string, FileTensor>([['weight', {dtype, shape: [outDim, inDim], data}]]);
  const [level] = layout.scales;
  if (scale !== null && level !== undefined) {
    tensors.set(scale.name, fileTensor(scale.dtype ?? dtypeOfLevel(level.type), scale.shape, parts.scales[0]!.slice()));
  }
  return tensors;
}

/** Plain loops. */
export function referenceFloat8(module: Module, {outDim, inDim, type, scale}: Float8Weight): Float32Array {
  const codes = need(module, 'weight').data;
  const numbers = decodeTable(type);
  const scales = scale === null ? null : levelNumbers(scale.type, need(module, scale.name));
  const weight = new Float32Array(outDim * inDim);
  for (let n = 0; n < outDim; n++) {
    for (let k = 0; k < inDim; k++) {
      const number = numbers[codes[n * inDim + k] as number] as number;
      if (scale === null || scales === null) {
        weight[n * inDim + k] = number;
        continue;
      }
      const {grid, divide} = scale;
      const s = scales[Math.floor(n / grid.rows) * grid.shape[1] + Math.floor(k / grid.columns)] as number;
      weight[n * inDim + k] = divide ? fround(number / s) : fround(number * s);
    }
  }
  return weight;
}
