/** UnpackWeight on webgpu. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import type {UnpackWeightAttrs} from '../attributes.js';
import type {WeightLayout} from '../layout.js';
import {remember} from '../memo.js';
import {rowOutside} from '../rows.js';
import {asWebGPU, orDispose, profileOf, type WebGPUBackendLike} from './backend.js';
import {checkIndexRange, fold} from './grid.js';
import {healthOf} from './health.js';
import {verifyOnce} from './known_answer.js';
import {Params} from './params.js';
import {bufferOf, record} from './record.js';
import {checkBinding, type Part, partsOfRows, wordsBuffer} from './resident.js';
import type {SizedShader} from './shader_cache.js';
import {UNPACK_COLUMNS, UNPACK_WORKGROUP, unpackShader} from './unpack.wgsl.js';

const plans = new WeakMap<WeightLayout, Map<boolean, SizedShader>>();

/** The shader for a layout, all rows or chosen ones. */
export function unpackPlan(layout: WeightLayout, chosen: boolean): SizedShader {
  const known = remember(plans, layout, () => new Map());
  return remember(known, chosen, () => {
    const params = new Params();
    const code = unpackShader(layout, params, chosen);
    return {params, shader: {label: `unpack${chosen ? ' rows' : ''}`, code, inputs: chosen ? 3 : 2}};
  });
}

/** Indices on the host are checked; on the device they cannot be, and give rows of NaN. */
function checkRows(backend: WebGPUBackendLike, rows: TensorInfo, count: number): void {
  const values = backend.tensorMap.get(rows.dataId).values;
  const bad = values == null ? -1 : values.findIndex((n) => n < 0 || n >= count);
  if (bad >= 0) throw rowOutside(bad, count);
}

/** Appends the unpacking of rows [rowStart, rowEnd), or of `rows` among them, into `out` [count, K]. */
export function recordUnpack(
  backend: WebGPUBackendLike,
  layout: WeightLayout,
  words: TensorInfo,
  out: TensorInfo,
  rowStart: number,
  rowEnd: number,
  rows?: TensorInfo,
): void {
  const buffer = wordsBuffer(backend, words);
  const target = bufferOf(backend, out);
  const {params, shader} = unpackPlan(layout, rows !== undefined);
  const limit = profileOf(backend).limits.maxComputeWorkgroupsPerDimension;
  const runs = Math.ceil(layout.inDim / UNPACK_COLUMNS);
  const rowBytes = layout.inDim * 4;
  const dispatch = (part: Part, row: number, count: number, place: {offset?: number; size?: number}) => {
    const uniforms = params.bytes({
      count,
      row_start: row,
      row_count: rowEnd - rowStart,
      part_start: part.rowStart,
      part_end: part.rowEnd,
      ...part.bases,
    });
    const chosen = rows === undefined ? [] : [{buffer: bufferOf(backend, rows)}];
    const bindings = [{buffer: target, ...place}, part.codes, part.words, ...chosen];
    const grid = fold(Math.ceil((count * runs) / UNPACK_WORKGROUP), limit);
    record(backend, shader, bindings, uniforms, grid, rows === undefined ? [out, words] : [out, words, rows]);
  };
  if (rows !== undefined) {
    checkBinding(backend, 'UnpackWeight: output', target.size);
    for (const part of partsOfRows(backend, layout, buffer, rowStart, rowEnd)) dispatch(part, rowStart, rows.shape[0] as number, {});
    return;
  }
  for (const part of partsOfRows(backend, layout, buffer, rowStart, rowEnd, rowBytes)) {
    const count = part.rowEnd - part.rowStart;
    dispatch(part, part.rowStart, count, {offset: (part.rowStart - rowStart) * rowBytes, size: count * rowBytes});
  }
}

export const unpackWeight: KernelFunc = ({inputs, backend: given, attrs}) => {
  const backend = asWebGPU(given);
  healthOf(backend).assertWell();
  const {layout, rowStart, rowEnd} = attrs as unknown as UnpackWeightAttrs;
  const rows = inputs.rows as TensorInfo | undefined;
  if (rows !== undefined) checkRows(backend, rows, rowEnd - rowStart);
  const shape = [rows === undefined ? rowEnd - rowStart : (rows.shape[0] as number), layout.inDim];
  checkIndexRange('UnpackWeight', shape);
  verifyOnce(backend, 'unpack');
  const out = backend.makeTensorInfo(shape, 'float32');
  return orDispose(backend, out, () => recordUnpack(backend, layout, inputs.words as TensorInfo, out, rowStart, rowEnd, rows));
};
