/**
 * The shader that multiplies row by row: `rows` rows of W by `xRows` rows of x in the registers of a thread, K split over
 * `lanes` threads. One generator: a GEMV on a GPU is 4 x 1 over 32 lanes, a GEMM on a CPU 8 x 8 in one.
 */
import type {WeightLayout} from '../layout.js';
import {accessFunctions} from './access.wgsl.js';
import type {Chunking} from './chunk.js';
import {type Finish, finishInputs, NORM_PARAMS, normScale, putFunction} from './finish.wgsl.js';
import {WORKGROUP_INDEX} from './grid.js';
import {walk} from './loops.wgsl.js';
import type {Numbers} from './numbers.wgsl.js';
import type {Params} from './params.js';
import {reduce} from './reduce.wgsl.js';

export interface RowsShape {
  /** Rows of W a thread. */
  readonly rows: number;
  /** Rows of x a thread. */
  readonly xRows: number;
  /** Threads that share a row along K. */
  readonly lanes: number;
  /** How lanes add up; 'none' with one lane. */
  readonly reduction: 'none' | 'tree' | 'subgroup';
  /** Threads of a workgroup; equals lanes where there are several. */
  readonly workgroup: number;
}

const range = (n: number) => [...Array(n).keys()];

export interface RowsSource {
  readonly code: string;
  /** Names of the storage buffers after the output, in order of binding. */
  readonly inputs: readonly InputName[];
}

export type InputName = 'codes' | 'codes4' | 'words' | 'x' | 'bias' | 'norm' | 'residual';

const INPUT_TYPES: Readonly<Record<InputName, string>> = {
  codes: 'u32',
  codes4: 'vec4<u32>',
  words: 'u32',
  x: 'vec4<f32>',
  bias: 'f32',
  norm: 'vec4<f32>',
  residual: 'f32',
};

export function declareInputs(inputs: readonly InputName[], params: Params): string {
  const lines = inputs.map((name, i) => `@group(0) @binding(${i + 1}) var<storage, read> ${name}: array<${INPUT_TYPES[name]}>;`);
  return `@group(0) @binding(0) var<storage, read_write> result: array<f32>;\n${lines.join('\n')}\n${params.wgsl(inputs.length + 1)}`;
}

export function rowsShader(
  layout: WeightLayout,
  chunking: Chunking,
  numbers: Numbers,
  params: Params,
  shape: RowsShape,
  finish: Finish,
  /** x as it was given, and not made lighter before. */
  asGiven: boolean,
): RowsSource {
  const {rows: R, xRows: X, lanes: L, workgroup} = shape;
  // Rows of y: with a gate each takes a row of both halves of W.
  const P = finish.gate ? R / 2 : R;
  const inputs: InputName[] = ['codes', 'codes4', 'words', 'x', ...finishInputs(finish)];
  const access = accessFunctions(layout, params);
  for (const name of ['row_start', 'row_end', 'window_start', 'window_rows', 'x_rows', 'stride', ...(finish.norm ? NORM_PARAMS : [])])
    params.add(name, 0);
  const parallel = L > 1;
  const pairs = (text: (x: number, r: number) => string) =>
    range(X)
      .flatMap((x) => range(R).map((r) => text(x, r)))
      .join('\n  ');
  const sum = (x: number, r: number) => `a${x}_${r}${finish.norm ? ` * ${normScale(`q${x}`)}` : ''}`;
  const store = (x: number, r: number) =>
    `if (m + ${x}u < params.x_rows && n + ${r}u < params.row_end) { put(m + ${x}u, n + ${r}u, ${sum(x, r)}${finish.gate ? `, ${sum(x, r + P)}` : ''}); }`;
  const stores = () =>
    range(X)
      .flatMap((x) => range(P).map((r) => store(x, r)))
      .join('\n  ');
  const {once, row, loops} = walk(layout, chunking, numbers, params, shape, {lighten: asGiven, norm: finish.norm === true});
  const subgroups = shape.reduction === 'subgroup';
  const code = `${subgroups ? 'enable subgroups;\n' : ''}${declareInputs(inputs, params)}
${access}${numbers.functions}${putFunction(finish)}
${parallel ? `var<workgroup> part: array<f32, ${(R + (finish.norm ? 1 : 0)) * X * L}>;` : ''}
@compute @workgroup_size(${workgroup})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32${
    subgroups ? ', @builtin(subgroup_size) subgroup_size: u32, @builtin(subgroup_invocation_id) subgroup_lane: u32' : ''
  }) {
  ${WORKGROUP_INDEX}
  let block = ${parallel ? 'group' : `group * ${workgroup}u + lane`};
  let row_blocks = (params.row_end - params.row_start + ${P - 1}u) / ${P}u;
  let n = params.row_start + (block % row_blocks) * ${P}u;
  let m = (block / row_blocks) * ${X}u;
  ${parallel ? '' : 'if (m >= params.x_rows) { return; }'}
  let row_words = params.row_words; let codes_base = params.codes_base; let stride = params.stride / 4u;
  ${once}
  ${range(R)
    .map(
      (r) =>
        `let n${r} = min(n + ${r % P}u, params.row_end - 1u)${r < P ? '' : ' + params.window_rows'}; let base${r} = n${r} * row_words - codes_base; ${row(r, `n${r}`)}`,
    )
    .join('\n  ')}
  ${range(X)
    .map((x) => `let m${x} = min(m + ${x}u, params.x_rows - 1u); let x${x} = m${x} * stride;${finish.norm ? ` var q${x} = 0.0;` : ''}`)
    .join('\n  ')}
  ${pairs((x, r) => `var a${x}_${r} = 0.0;`)}
${loops}
  ${parallel ? reduce(shape, finish) : stores()}
}
`;
  return {code, inputs};
}
