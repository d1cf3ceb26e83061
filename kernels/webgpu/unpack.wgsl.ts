/** The shader of UnpackWeight: one thread a few columns of one row, bit-exact. */
import type {WeightLayout} from '../layout.js';
import {accessFunctions, valueFunctions} from './access.wgsl.js';
import {EXACT} from './exact.wgsl.js';
import {WORKGROUP_INDEX} from './grid.js';
import {EXACT_ARITHMETIC} from './grids.wgsl.js';
import type {Params} from './params.js';

export const UNPACK_WORKGROUP = 64;
/** Columns of one row that a thread writes. */
export const UNPACK_COLUMNS = 4;

/** Rows of another part of a split weight are left to its dispatch. */
function chosenRow(params: Params, rowStart: string): string {
  return `let row = u32(rows[i]);
  let inside = row < ${params.add('row_count', 0)};
  let n = ${rowStart} + row;
  if (inside && (n < ${params.add('part_start', 0)} || n >= ${params.add('part_end', 0)})) { return; }`;
}

/**
 * words -> result [count, K] as bits of float32; row i is rows[i] where `chosen`, else row_start + i. A chosen row outside
 * the weight gives NaN: a shader cannot throw, and zeros would pass for numbers.
 */
export function unpackShader(layout: WeightLayout, params: Params, chosen: boolean): string {
  params.add('nothing', 0);
  const k = params.add('in_dim', layout.inDim);
  const count = params.add('count', 0);
  const rowStart = params.add('row_start', 0);
  const access = accessFunctions(layout, params);
  const values = valueFunctions(layout, params, EXACT_ARITHMETIC);
  const row = chosen ? chosenRow(params, rowStart) : `let n = ${rowStart} + i;`;
  return `@group(0) @binding(0) var<storage, read_write> result: array<u32>;
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
${chosen ? '@group(0) @binding(3) var<storage, read> rows: array<i32>;\n' : ''}${params.wgsl(chosen ? 4 : 3)}
${access}${EXACT}${values}
@compute @workgroup_size(${UNPACK_WORKGROUP})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${WORKGROUP_INDEX}
  let runs = (${k} + ${UNPACK_COLUMNS - 1}u) / ${UNPACK_COLUMNS}u;
  let thread = group * ${UNPACK_WORKGROUP}u + lane;
  let i = thread / runs;
  if (i >= ${count}) { return; }
  let first = (thread - i * runs) * ${UNPACK_COLUMNS}u;
  let last = min(first + ${UNPACK_COLUMNS}u, ${k});
  ${row}
  for (var j = first; j < last; j++) {
    ${chosen ? `var bits = 0x7fc00000u;\n    if (inside) { bits = bits_of(n, j); }` : `let bits = bits_of(n, j);`}
    result[i * ${k} + column_of(j)] = bits;
  }
}
`;
}
