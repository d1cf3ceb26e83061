/** The pass over x, once a call: columns in stored order, made lighter where masked codes are too heavy, summed per step. */
import type {WeightLayout} from '../layout.js';
import {addBases, WORD_READERS} from './access.wgsl.js';
import type {Chunking} from './chunk.js';
import {WORKGROUP_INDEX} from './grid.js';
import {lightenFunction, type Numbers} from './numbers.wgsl.js';
import type {Params} from './params.js';

export const PREPARE_WORKGROUP = 64;

/** Floats of one prepared row: columns padded to whole chunks, then the sums, padded to a whole vec4. */
export function preparedStride(chunking: Chunking, sums: boolean): number {
  const columns = chunking.columns * chunking.count;
  return columns + (sums ? Math.ceil(columns / chunking.step / 4) * 4 : 0);
}

/** x [M, K] -> [M, stride]: x[order[j]] * 2^-weight(j), 0 past the last column; then, with `sums`, the sum of each step of x. */
export function prepareShader(layout: WeightLayout, chunking: Chunking, numbers: Numbers, params: Params, sums: boolean): string {
  const k = params.add('in_dim', layout.inDim);
  const rows = params.add('rows', 0);
  const stride = params.add('stride', preparedStride(chunking, sums));
  const columns = params.add('columns', chunking.columns * chunking.count);
  addBases(params);
  const order = layout.ordered
    ? `${WORD_READERS.split('\n')[0]}\nfn column_of(j: u32) -> u32 { return word(${params.add('order_start', 0)} + j); }`
    : '';
  const column = layout.ordered ? 'column_of(j)' : 'j';
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
  let steps = ${columns} / ${chunking.step}u;
  let m = thread / steps;
  if (m >= ${rows}) { return; }
  let step = thread - m * steps;
  var sum = 0.0;
  for (var i = 0u; i < ${chunking.step}u; i++) {
    let j = step * ${chunking.step}u + i;
    var value = 0.0;
    if (j < ${k}) { value = x[m * ${k} + ${column}]; }
    sum += value;
    result[m * ${stride} + j] = value * lighten(j);
  }
  ${sums ? `result[m * ${stride} + ${columns} + step] = sum;` : ''}
}
`;
}
