/** The pass over x, once a call: columns in stored order, made lighter where masked codes are too heavy. */
import type {WeightLayout} from '../layout.js';
import {addBases, WORD_READER} from './access.wgsl.js';
import type {Chunking} from './chunk.js';
import {WORKGROUP_INDEX} from './grid.js';
import {lightenFunction, type Numbers} from './numbers.wgsl.js';
import type {Params} from './params.js';

export const PREPARE_WORKGROUP = 64;
/** Columns of a thread. */
export const PREPARE_COLUMNS = 4;

/** x [M, K] -> [M, stride]: x[order[j]] * 2^-weight(j), 0 past the last column; rows are padded to whole chunks. */
export function prepareShader(layout: WeightLayout, chunking: Chunking, numbers: Numbers, params: Params): string {
  const k = params.add('in_dim', layout.inDim);
  const rows = params.add('rows', 0);
  const stride = params.add('stride', chunking.columns * chunking.count);
  addBases(params);
  const order = layout.ordered ? `${WORD_READER}fn column_of(j: u32) -> u32 { return word(${params.add('order_start', 0)} + j); }` : '';
  const value = `x[m * ${k} + ${layout.ordered ? 'column_of(j)' : 'j'}] * lighten(j)`;
  return `@group(0) @binding(0) var<storage, read_write> result: array<f32>;
@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
${params.wgsl(3)}
${order}
${lightenFunction(numbers)}
@compute @workgroup_size(${PREPARE_WORKGROUP})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${WORKGROUP_INDEX}
  let thread = group * ${PREPARE_WORKGROUP}u + lane;
  let threads = ${stride} / ${PREPARE_COLUMNS}u;
  let m = thread / threads;
  if (m >= ${rows}) { return; }
  let first = (thread - m * threads) * ${PREPARE_COLUMNS}u;
  for (var j = first; j < first + ${PREPARE_COLUMNS}u; j++) {
    var value = 0.0;
    if (j < ${k}) { value = ${value}; }
    result[m * ${stride} + j] = value;
  }
}
`;
}
