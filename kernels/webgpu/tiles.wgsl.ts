/**
 * The shader that multiplies tile by tile: 256 threads expand 64 rows of W by 32 columns into workgroup memory once, for 64
 * rows of x. For many rows of x on a GPU; on a CPU the copy through workgroup memory costs more than it saves.
 */
import {TILE_THREADS} from '../choose.js';
import type {WeightLayout} from '../layout.js';
import {accessFunctions} from './access.wgsl.js';
import type {Chunking} from './chunk.js';
import {type Finish, finishInputs, putFunction} from './finish.wgsl.js';
import {powerOfTwo} from './float_bits.wgsl.js';
import {WORKGROUP_INDEX} from './grid.js';
import {loadWords, type Numbers, planeLocals} from './numbers.wgsl.js';
import type {Params} from './params.js';
import {declareInputs, type InputName, type RowsSource} from './rows.wgsl.js';
import {stepsOf} from './step.wgsl.js';

/** Columns of a tile. */
const DEPTH = 32;
/** Threads along each side of a tile. A thread's results are this far apart: neighbours read and write neighbouring places. */
const SPREAD = 16;

/**
 * Results of a thread along each side. A CPU clears workgroup memory word by word in straight code: 1 compiles there in a
 * fifth of the time.
 */
export const reachFor = (software: boolean) => (software ? 1 : 4);

/** Rows of W, and rows of x, of a tile. */
export const tileOf = (reach: number) => SPREAD * reach;

export interface TilesShape {
  readonly reach: number;
  /** Tiles hold 16-bit floats; sums stay float32. */
  readonly half: boolean;
}

const range = (n: number) => [...Array(n).keys()];

export function tilesShader(
  layout: WeightLayout,
  chunking: Chunking,
  numbers: Numbers,
  params: Params,
  {reach, half}: TilesShape,
  finish: Finish,
): RowsSource {
  const inputs: InputName[] = ['codes', 'words', 'x', ...finishInputs(finish)];
  const access = accessFunctions(layout, params);
  const steps = stepsOf(layout, numbers, params, false);
  const locals = planeLocals(layout, params);
  const k = params.add('in_dim', layout.inDim);
  for (const name of ['row_start', 'row_end', 'window_start', 'window_rows', 'x_rows']) params.add(name, 0);
  params.add('chunks', chunking.count);
  const real = half ? 'f16' : 'f32';
  const tile = tileOf(reach);
  const sides = (text: (i: number) => string) => range(reach).map(text).join(' ');
  const results = (text: (i: number, j: number) => string) => sides((i) => sides((j) => text(i, j)));
  const code = `${half ? 'enable f16;\n' : ''}${declareInputs(inputs, params).replace('x: array<vec4<f32>>', 'x: array<f32>')}
${access}${numbers.functions}${putFunction(finish)}var<workgroup> w_tile: array<${real}, ${tile * DEPTH}>;
var<workgroup> x_tile: array<${real}, ${tile * DEPTH}>;
// The exclusive or spreads what neighbouring threads touch over the banks of workgroup memory.
fn w_place(n: u32, k: u32) -> u32 { return k * ${tile}u + (n ^ (((k >> 3u) * 8u) & ${tile - 1}u)); }
fn x_place(m: u32, k: u32) -> u32 { return m * ${DEPTH}u + (k ^ (m & ${DEPTH - 1}u)); }
fn put_inside(m: u32, n: u32, sum: f32) { if (m < params.x_rows && n < params.row_end) { put(m, n, sum); } }
@compute @workgroup_size(${TILE_THREADS})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${WORKGROUP_INDEX}
  let row_blocks = (params.row_end - params.row_start + ${tile - 1}u) / ${tile}u;
  let n_block = params.row_start + (group % row_blocks) * ${tile}u;
  let m_block = (group / row_blocks) * ${tile}u;
  let chunks = params.chunks;
  ${locals} ${steps.once}
  let tx = lane % ${SPREAD}u;
  let ty = lane / ${SPREAD}u;
  ${results((i, j) => `var a${i}_${j} = 0.0;`)}
  for (var first = 0u; first < ${k}; first += ${DEPTH}u) {
${loadW(chunking, numbers, steps, real, tile)}
${loadX(k, real, tile)}
    workgroupBarrier();
    // Summed by tiles: one long sum in float32 would lose a digit.
    ${results((i, j) => `var b${i}_${j} = 0.0;`)}
    let depth = min(${DEPTH}u, ${k} - first);
    for (var k = 0u; k < depth; k++) {
      ${sides((i) => `let w${i} = f32(w_tile[w_place(tx + ${i * SPREAD}u, k)]); let x${i} = f32(x_tile[x_place(ty + ${i * SPREAD}u, k)]);`)}
      ${results((i, j) => `b${i}_${j} = fma(x${i}, w${j}, b${i}_${j});`)}
    }
    ${results((i, j) => `a${i}_${j} += b${i}_${j};`)}
    workgroupBarrier();
  }
  ${results((i, j) => `put_inside(m_block + ty + ${i * SPREAD}u, n_block + tx + ${j * SPREAD}u, a${i}_${j});`)}
}
`;
  return {code, inputs};
}

/** Decodes the tile's weights, a chunk a thread at a time; 0 past the last column and row. */
function loadW(chunking: Chunking, numbers: Numbers, steps: ReturnType<typeof stepsOf>, real: string, tile: number): string {
  const perRow = DEPTH / chunking.columns;
  const {code, words} = loadWords({...chunking, vector: chunking.vector.map(() => false)}, 'w', 'base', 'c');
  const parts = range(chunking.columns / chunking.step).map((s) => {
    const stores: string[] = [];
    for (let i = (s * chunking.step) / 4; i < ((s + 1) * chunking.step) / 4; i++) {
      const lighter = range(4).map((c) => powerOfTwo(-numbers.weight(4 * i + c)));
      const value = `(${steps.value('w', i, words)})${numbers.period === 0 ? '' : ` * vec4<f32>(${lighter.join(', ')})`}`;
      const store = range(4).map((c) => `w_tile[w_place(row, at + ${4 * i + c}u)] = ${real}(v[${c}]);`);
      stores.push(`{ let v = select(vec4<f32>(), ${value}, here); ${store.join(' ')} }`);
    }
    return `{ ${steps.column(`c * ${chunking.columns}u + ${s * chunking.step}u`)} ${steps.declare('w')}\n${stores.join('\n')} }`;
  });
  return `    for (var u = lane; u < ${tile * perRow}u; u += ${TILE_THREADS}u) {
      let row = u / ${perRow}u;
      let at = (u % ${perRow}u) * ${chunking.columns}u;
      let there = (first + at) / ${chunking.columns}u;
      let here = there < chunks && n_block + row < params.row_end;
      let c = min(there, chunks - 1u);
      let n = min(n_block + row, params.row_end - 1u);
      let base = n * params.row_words - params.codes_base;
      ${steps.row('w', 'n')}
${code}
${parts.join('\n')}
    }`;
}

/** Columns of x in stored order; 0 past the last column and row. */
function loadX(k: string, real: string, tile: number): string {
  const rowsAtOnce = TILE_THREADS / DEPTH;
  return `    {
      let j = first + lane % ${DEPTH}u;
      let inside = j < ${k};
      let column = column_of(select(0u, j, inside));
      for (var row = lane / ${DEPTH}u; row < ${tile}u; row += ${rowsAtOnce}u) {
        let m = m_block + row;
        var value = 0.0;
        if (inside && m < params.x_rows) { value = x[m * ${k} + column]; }
        x_tile[x_place(row, lane % ${DEPTH}u)] = ${real}(value);
      }
    }`;
}
