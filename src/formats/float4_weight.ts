/** A weight of e2m1 codes, two a byte, low half first, under one or two levels of scales: to the record and back. */
import {decodeTable} from '../../kernels/float_codes.js';
import type {Grid, Level, LevelType, WeightLayout} from '../../kernels/layout.js';
import {floatLayout, grid} from '../../kernels/layout.js';
import {allocateWords, partsOf} from '../../kernels/words.js';
import {copyByteRows} from './byte_rows.js';
import {type FileTensor, type Module, need} from './format.js';
import {levelEntries, levelNumbers, needBytes, refuseBadScales} from './tensors.js';

const fround = Math.fround;

export interface Float4Weight {
  readonly outDim: number;
  readonly inDim: number;
  /** Local name of the codes. */
  readonly name: string;
  readonly scale: {readonly name: string; readonly grid: Grid; readonly type: LevelType};
  /** One float32 number for the weight, and whether scales are divided by it. */
  readonly global: {readonly value: number; readonly divide: boolean} | null;
}

/** Throws FileFormatError at a scale that is not finite. */
export function lowerFloat4(module: Module, {outDim, inDim, name, scale, global}: Float4Weight): {layout: WeightLayout; words: Int32Array} {
  for (const [tensorName, tensor] of module.tensors) needBytes(module.module, tensorName, tensor);
  refuseBadScales(module, scale.name, scale.type, need(module, scale.name));
  const scales: Level[] = [{grid: scale.grid, type: scale.type, divide: false}];
  if (global !== null) scales.push({grid: grid(outDim, inDim, outDim, inDim), type: 'float32', divide: global.divide});
  const layout = floatLayout('float4_e2m1fn', outDim, inDim, scales);
  const words = allocateWords(layout);
  const parts = partsOf(layout, words);
  copyByteRows(layout, parts, need(module, name).data, inDim / 2, 'lower');
  (parts.scales[0] as Uint8Array).set(levelEntries(scale.type, need(module, scale.name)));
  if (global !== null) parts.scales[1]![0] = global.value;
  return {layout, words};
}

/** The codes and the scales of the first level. */
export function raiseFloat4(
  layout: WeightLayout,
  words: Int32Array,
  name: string,
  scale: {name: string; dtype: string; shape: readonly number[]},
): Map<string, FileTensor> {
  const {outDim, inDim} = layout;
  const parts = partsOf(layout, words);
  const data = new Uint8Array((outDim * inDim) / 2);
  copyByteRows(layout, parts, data, inDim / 2, 'raise');
  return new Map<string, FileTensor>([
    [name, {dtype: 'U8', shape: [outDim, inDim / 2], data}],
    [scale.name, {dtype: scale.dtype, shape: scale.shape, data: (parts.scales[0] as Uint8Array).slice()}],
  ]);
}

/** Plain loops. */
export function referenceFloat4(module: Module, {outDim, inDim, name, scale, global}: Float4Weight): Float32Array {
  const bytes = need(module, name).data;
  const numbers = decodeTable('float4_e2m1fn');
  const scales = levelNumbers(scale.type, need(module, scale.name));
  const weight = new Float32Array(outDim * inDim);
  for (let i = 0; i < weight.length; i++) {
    const n = Math.floor(i / inDim);
    const k = i % inDim;
    let s = scales[Math.floor(n / scale.grid.rows) * scale.grid.shape[1] + Math.floor(k / scale.grid.columns)] as number;
    if (global !== null) s = global.divide ? fround(s / global.value) : fround(s * global.value);
    weight[i] = fround((numbers[((bytes[i >> 1] as number) >>> (4 * (i & 1))) & 15] as number) * s);
  }
  return weight;
}
