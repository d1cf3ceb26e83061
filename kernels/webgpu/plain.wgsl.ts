/** The shader that multiplies any weight: every code decoded by itself. For uneven groups and groups that begin inside a word. */
import type {WeightLayout} from '../layout.js';
import {accessFunctions, valueFunctions} from './access.wgsl.js';
import {type Finish, finishInputs, putFunction} from './finish.wgsl.js';
import {WORKGROUP_INDEX} from './grid.js';
import {DEVICE_ARITHMETIC} from './grids.wgsl.js';
import type {Params} from './params.js';
import {declareInputs, type InputName, type RowsSource} from './rows.wgsl.js';

/** Rows of x that share a decoded value. */
export const PLAIN_X_ROWS = 4;
/** Threads along K for one row of W. */
export const PLAIN_LANES = 16;

/** Products that add up in one float32 before they go to the total. */
const RUN = 32;

export function plainShader(layout: WeightLayout, params: Params, finish: Finish): RowsSource {
  const inputs: InputName[] = ['codes', 'words', 'x', ...finishInputs(finish)];
  const access = accessFunctions(layout, params);
  const value = valueFunctions(layout, params, DEVICE_ARITHMETIC);
  const k = params.add('in_dim', layout.inDim);
  for (const name of ['row_start', 'row_end', 'window_start', 'window_rows', 'x_rows']) params.add(name, 0);
  const rows = [...Array(PLAIN_X_ROWS).keys()];
  const each = (text: (x: number) => string) => rows.map(text).join(' ');
  const code = `${declareInputs(inputs, params).replace('x: array<vec4<f32>>', 'x: array<f32>')}
${access}${value}${putFunction(finish)}var<workgroup> part: array<f32, ${PLAIN_X_ROWS * PLAIN_LANES}>;
@compute @workgroup_size(${PLAIN_LANES})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${WORKGROUP_INDEX}
  let window = params.row_end - params.row_start;
  let n = params.row_start + group % window;
  let m = (group / window) * ${PLAIN_X_ROWS}u;
  ${each((x) => `let x${x} = min(m + ${x}u, params.x_rows - 1u) * ${k}; var a${x} = 0.0;`)}
  for (var first = lane; first < ${k}; first += ${PLAIN_LANES * RUN}u) {
    ${each((x) => `var b${x} = 0.0;`)}
    let last = min(first + ${PLAIN_LANES * RUN}u, ${k});
    for (var j = first; j < last; j += ${PLAIN_LANES}u) {
      let value = value_of(n, j);
      let column = column_of(j);
      ${each((x) => `b${x} = fma(value, x[x${x} + column], b${x});`)}
    }
    ${each((x) => `a${x} += b${x};`)}
  }
  ${each((x) => `part[lane * ${PLAIN_X_ROWS}u + ${x}u] = a${x};`)}
  workgroupBarrier();
  if (lane < ${PLAIN_X_ROWS}u && m + lane < params.x_rows) {
    var total = 0.0;
    for (var i = 0u; i < ${PLAIN_LANES}u; i++) { total += part[i * ${PLAIN_X_ROWS}u + lane]; }
    put(m + lane, n, total);
  }
}
`;
  return {code, inputs};
}
