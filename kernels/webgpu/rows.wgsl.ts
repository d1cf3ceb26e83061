/**
 * The shader that multiplies row by row: `rows` rows of W by `xRows` rows of x in the registers of a thread, K split over
 * `lanes` threads. One generator: a GEMV on a GPU is 4 x 1 over 32 lanes, a GEMM on a CPU 8 x 8 in one.
 */
import type {Activation} from '../activation.js';
import type {WeightLayout} from '../layout.js';
import {accessFunctions, DEVICE_ARITHMETIC} from './access.wgsl.js';
import {activationFunction} from './activation.wgsl.js';
import {type Chunking, centerOf, needsSums} from './chunk.js';
import {WORKGROUP_INDEX} from './grid.js';
import {addPlaneWords, loadWords, type Numbers} from './numbers.wgsl.js';
import type {Params} from './params.js';

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

/** Chunks that add up in one float32 before it goes to the total: long sums lose a digit otherwise. */
const LONGEST_RUN = 16;

const range = (n: number) => [...Array(n).keys()];

export interface RowsSource {
  readonly code: string;
  /** Names of the storage buffers after the output, in order of binding. */
  readonly inputs: readonly InputName[];
}

export type InputName = 'codes' | 'codes4' | 'words' | 'x' | 'sums' | 'bias';

const INPUT_TYPES: Readonly<Record<InputName, string>> = {
  codes: 'u32',
  codes4: 'vec4<u32>',
  words: 'u32',
  x: 'vec4<f32>',
  sums: 'f32',
  bias: 'f32',
};

export function declareInputs(inputs: readonly InputName[], params: Params): string {
  const lines = inputs.map((name, i) => `@group(0) @binding(${i + 1}) var<storage, read> ${name}: array<${INPUT_TYPES[name]}>;`);
  return `@group(0) @binding(0) var<storage, read_write> result: array<f32>;\n${lines.join('\n')}\n${params.wgsl(inputs.length + 1)}`;
}

/** The scale of (n, j) as a factor, and what goes with the sum of x: '' where nothing does. */
export function factors(layout: WeightLayout, n: string, j: string): {scale: string; term: string} {
  const center = centerOf(layout);
  let scale = layout.scales.length === 0 ? '1.0' : `scale_of(${n}, ${j})`;
  if (layout.scales[0]?.divide === true) scale = `1.0 / ${scale}`;
  const terms: string[] = [];
  if (layout.zero.kind === 'codes') terms.push(`scale * -difference(zero_of(${n}, ${j}), ${center}u)`);
  else if (layout.zero.kind === 'none' && center !== 0) terms.push(`scale * ${center}.0`);
  if (layout.offsets.length > 0) terms.push(`offset_of(${n}, ${j})`);
  return {scale, term: terms.join(' + ')};
}

/** `fn difference(code, zero) -> f32`, where `factors` needs it. */
export const DIFFERENCE = `fn difference(code: u32, zero: u32) -> f32 { return f32(bitcast<i32>(code - zero)); }
`;

export function rowsShader(
  layout: WeightLayout,
  chunking: Chunking,
  numbers: Numbers,
  params: Params,
  shape: RowsShape,
  hasBias: boolean,
  activation: Activation | null,
): RowsSource {
  const {rows: R, xRows: X, lanes: L, workgroup} = shape;
  const sums = needsSums(layout);
  const inputs: InputName[] = [
    'codes',
    'codes4',
    'words',
    'x',
    ...(sums ? (['sums'] as const) : []),
    ...(hasBias ? (['bias'] as const) : []),
  ];
  const access = accessFunctions(layout, params, DEVICE_ARITHMETIC);
  addPlaneWords(layout, params);
  for (const name of ['row_start', 'row_end', 'window_start', 'window_rows', 'x_rows', 'stride', 'sums_start']) params.add(name, 0);
  const parallel = L > 1;
  const body = (parallel ? lanesLoop : groupsLoop)(layout, chunking, numbers, params, shape);
  const store = (x: number, r: number, value: string) =>
    `if (m + ${x}u < params.x_rows && n + ${r}u < params.row_end) { put(m + ${x}u, n + ${r}u, ${value}); }`;
  const finish = parallel
    ? reduce(shape)
    : range(X)
        .flatMap((x) => range(R).map((r) => store(x, r, `a${x}_${r}`)))
        .join('\n  ');
  const subgroups = shape.reduction === 'subgroup';
  const code = `${subgroups ? 'enable subgroups;\n' : ''}${declareInputs(inputs, params)}
${access}${DIFFERENCE}${numbers.functions}${activationFunction(activation)}
fn put(m: u32, n: u32, sum: f32) {
  let column = n - params.window_start;
  result[m * params.window_rows + column] = activate(sum${hasBias ? ' + bias[column]' : ''});
}
${parallel ? `var<workgroup> part: array<f32, ${R * X * L}>;` : ''}
@compute @workgroup_size(${workgroup})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32${
    subgroups ? ', @builtin(subgroup_size) subgroup_size: u32, @builtin(subgroup_invocation_id) subgroup_lane: u32' : ''
  }) {
  ${WORKGROUP_INDEX}
  let block = ${parallel ? 'group' : `group * ${workgroup}u + lane`};
  let row_blocks = (params.row_end - params.row_start + ${R - 1}u) / ${R}u;
  let n = params.row_start + (block % row_blocks) * ${R}u;
  let m = (block / row_blocks) * ${X}u;
  ${parallel ? '' : 'if (m >= params.x_rows) { return; }'}
  ${range(R)
    .map((r) => `let n${r} = min(n + ${r}u, params.row_end - 1u); let base${r} = n${r} * params.row_words - params.codes_base;`)
    .join('\n  ')}
  ${range(X)
    .map((x) => `let m${x} = min(m + ${x}u, params.x_rows - 1u); let x${x} = m${x} * (params.stride / 4u);`)
    .join('\n  ')}
  ${range(X)
    .flatMap((x) => range(R).map((r) => `var a${x}_${r} = 0.0;`))
    .join(' ')}
${body}
  ${finish}
}
`;
  return {code, inputs};
}

const clear = ({rows, xRows}: RowsShape) =>
  range(xRows)
    .flatMap((x) => range(rows).map((r) => `b${x}_${r} = vec4<f32>();`))
    .join(' ');
const declare = ({rows, xRows}: RowsShape) =>
  range(xRows)
    .flatMap((x) => range(rows).map((r) => `var b${x}_${r} = vec4<f32>();`))
    .join(' ');

/** Adds the products of one step of chunk c to the vectors b. */
function products(chunking: Chunking, numbers: Numbers, {rows, xRows}: RowsShape, step: number, load: boolean): string {
  const perStep = chunking.step / 4;
  const perChunk = chunking.columns / 4;
  const planeStart = (p: number) => (p === 0 ? '0u' : `params.plane${p}_start`);
  const loads = range(rows).map((r) => loadWords(chunking, r, `base${r}`, 'c', planeStart));
  const lines = load ? loads.map((l) => l.code) : [];
  for (let i = step * perStep; i < (step + 1) * perStep; i++) {
    const decoded = range(rows).map((r) => `let d${r} = ${numbers.expression(i, (loads[r] as (typeof loads)[number]).words)};`);
    const added = range(xRows).map((x) => {
      const sums = range(rows).map((r) => `b${x}_${r} = fma(d${r}, v, b${x}_${r});`);
      return `{ let v = x[x${x} + c * ${perChunk}u + ${i}u]; ${sums.join(' ')} }`;
    });
    lines.push(`{ ${decoded.join(' ')} ${added.join(' ')} }`);
  }
  return lines.join('\n');
}

/** a += scale * (sum of b) + term * (sum of x), for the step of columns that begins at j. */
function scaleUp(layout: WeightLayout, {rows, xRows}: RowsShape, j: string, sumOf: (x: number) => string): string {
  return range(rows)
    .map((r) => {
      const {scale, term} = factors(layout, `n${r}`, j);
      const add = range(xRows).map((x) => {
        const rest = term === '' ? `a${x}_${r}` : `fma(term, ${sumOf(x)}, a${x}_${r})`;
        return `a${x}_${r} = fma(scale, dot(b${x}_${r}, vec4<f32>(1.0)), ${rest});`;
      });
      return `{ let scale = ${scale}; ${term === '' ? '' : `let term = ${term};`} ${add.join(' ')} }`;
    })
    .join('\n');
}

/** Chunk c, step by step, each scaled by itself. */
function steps(layout: WeightLayout, chunking: Chunking, numbers: Numbers, shape: RowsShape): string {
  const perChunk = chunking.columns / chunking.step;
  return range(perChunk)
    .map((s) => {
      const sum = (x: number) => `sums[params.sums_start + m${x} * params.stride + c * ${perChunk}u + ${s}u]`;
      const j = `c * ${chunking.columns}u + ${s * chunking.step}u`;
      return `${clear(shape)}\n${products(chunking, numbers, shape, s, s === 0)}\n${scaleUp(layout, shape, j, sum)}`;
    })
    .join('\n');
}

/** One lane: group after group, scales once a group. */
function groupsLoop(layout: WeightLayout, chunking: Chunking, numbers: Numbers, params: Params, shape: RowsShape): string {
  const chunks = params.add('chunks', chunking.count);
  if (chunking.step < chunking.columns) {
    return `${declare(shape)}\nfor (var c = 0u; c < ${chunks}; c++) {\n${steps(layout, chunking, numbers, shape)}\n}`;
  }
  const run = longestRun(chunking.group);
  const sums = needsSums(layout);
  const gather = sums
    ? range(shape.xRows)
        .map((x) => `sum${x} += sums[params.sums_start + m${x} * params.stride + c];`)
        .join(' ')
    : '';
  return `for (var first = 0u; first < ${chunks}; first += ${run}u) {
${declare(shape)} ${
    sums
      ? range(shape.xRows)
          .map((x) => `var sum${x} = 0.0;`)
          .join(' ')
      : ''
  }
let last = min(first + ${run}u, ${chunks});
for (var c = first; c < last; c++) {
${products(chunking, numbers, shape, 0, true)}
${gather}
}
${scaleUp(layout, shape, `first * ${chunking.columns}u`, (x) => `sum${x}`)}
}`;
}

/** The largest divisor of a group's chunks up to LONGEST_RUN: a run never crosses a group. */
function longestRun(group: number): number {
  let run = LONGEST_RUN;
  while (group % run !== 0) run--;
  return run;
}

/** Several lanes: neighbours take neighbouring chunks, so that their loads are one. */
function lanesLoop(layout: WeightLayout, chunking: Chunking, numbers: Numbers, params: Params, shape: RowsShape): string {
  const chunks = params.add('chunks', chunking.count);
  return `${declare(shape)}\nfor (var c = lane; c < ${chunks}; c += ${shape.lanes}u) {\n${steps(layout, chunking, numbers, shape)}\n}`;
}

/** Adds the lanes' totals up and stores them. */
function reduce({rows: R, xRows: X, lanes: L, reduction}: RowsShape): string {
  const outputs = R * X;
  const all = range(X).flatMap((x) => range(R).map((r) => [x, r] as const));
  const putOne = `let x = o / ${R}u; let r = o % ${R}u;
    if (m + x < params.x_rows && n + r < params.row_end) { put(m + x, n + r, total); }`;
  if (reduction === 'subgroup') {
    const adds = all.map(
      ([x, r], o) =>
        `{ let s = subgroupAdd(a${x}_${r}); if (subgroup_lane == 0u) { part[(lane / subgroup_size) * ${outputs}u + ${o}u] = s; } }`,
    );
    return `${adds.join('\n  ')}
  workgroupBarrier();
  for (var o = lane; o < ${outputs}u; o += ${L}u) {
    var total = 0.0;
    for (var i = 0u; i < (${L}u + subgroup_size - 1u) / subgroup_size; i++) { total += part[i * ${outputs}u + o]; }
    ${putOne}
  }`;
  }
  const write = all.map(([x, r], o) => `part[lane * ${outputs}u + ${o}u] = a${x}_${r};`).join(' ');
  const halving = [];
  // Halves are worth a barrier while many lanes hold few outputs.
  let left = L;
  for (; left > 8; left /= 2) {
    halving.push(
      `if (lane < ${left / 2}u) { for (var o = 0u; o < ${outputs}u; o++) { part[lane * ${outputs}u + o] += part[(lane + ${left / 2}u) * ${outputs}u + o]; } } workgroupBarrier();`,
    );
  }
  return `${write}
  workgroupBarrier();
  ${halving.join('\n  ')}
  for (var o = lane; o < ${outputs}u; o += ${L}u) {
    var total = 0.0;
    for (var i = 0u; i < ${left}u; i++) { total += part[i * ${outputs}u + o]; }
    ${putOne}
  }`;
}
