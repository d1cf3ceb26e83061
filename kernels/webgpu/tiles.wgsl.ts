/**
 * The shader that multiplies tile by tile: 256 threads expand 64 rows of W by 32 columns into workgroup memory once, for 64
 * rows of x. For many rows of x on a GPU; on a CPU the copy through workgroup memory costs more than it saves.
 */
import type {Activation} from '../activation.js';
import {TILE_THREADS} from '../choose.js';
import type {WeightLayout} from '../layout.js';
import {accessFunctions, DEVICE_ARITHMETIC} from './access.wgsl.js';
import {activationFunction} from './activation.wgsl.js';
import type {Chunking} from './chunk.js';
import {powerOfTwo} from './float_bits.wgsl.js';
import {WORKGROUP_INDEX} from './grid.js';
import {addPlaneWords, loadWords, type Numbers} from './numbers.wgsl.js';
import type {Params} from './params.js';
import {DIFFERENCE, declareInputs, factors, type InputName, type RowsSource} from './rows.wgsl.js';

/** Rows of W, and rows of x, of a tile. */
export const TILE = 64;
/** Columns of a tile. */
const DEPTH = 32;
/** Each thread has 4 x 4 results, 16 apart: neighbours then read and write neighbouring places. */
const SPREAD = 16;

const range = (n: number) => [...Array(n).keys()];

export function tilesShader(
  layout: WeightLayout,
  chunking: Chunking,
  numbers: Numbers,
  params: Params,
  half: boolean,
  hasBias: boolean,
  activation: Activation | null,
): RowsSource {
  const inputs: InputName[] = ['codes', 'words', 'x', ...(hasBias ? (['bias'] as const) : [])];
  const access = accessFunctions(layout, params, DEVICE_ARITHMETIC);
  addPlaneWords(layout, params);
  const k = params.add('in_dim', layout.inDim);
  for (const name of ['row_start', 'row_end', 'window_start', 'window_rows', 'x_rows']) params.add(name, 0);
  const chunks = params.add('chunks', chunking.count);
  const real = half ? 'f16' : 'f32';
  const code = `${half ? 'enable f16;\n' : ''}${declareInputs(inputs, params).replace('x: array<vec4<f32>>', 'x: array<f32>')}
${access}${DIFFERENCE}${numbers.functions}${activationFunction(activation)}
var<workgroup> w_tile: array<${real}, ${TILE * DEPTH}>;
var<workgroup> x_tile: array<${real}, ${TILE * DEPTH}>;
// The exclusive or spreads what neighbouring threads touch over the banks of workgroup memory.
fn w_place(n: u32, k: u32) -> u32 { return k * ${TILE}u + (n ^ ((k >> 3u) * 8u)); }
fn x_place(m: u32, k: u32) -> u32 { return m * ${DEPTH}u + (k ^ (m & ${DEPTH - 1}u)); }
fn put(m: u32, n: u32, sum: f32) {
  if (m >= params.x_rows || n >= params.row_end) { return; }
  let column = n - params.window_start;
  result[m * params.window_rows + column] = activate(sum${hasBias ? ' + bias[column]' : ''});
}
@compute @workgroup_size(${TILE_THREADS})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${WORKGROUP_INDEX}
  let row_blocks = (params.row_end - params.row_start + ${TILE - 1}u) / ${TILE}u;
  let n_block = params.row_start + (group % row_blocks) * ${TILE}u;
  let m_block = (group / row_blocks) * ${TILE}u;
  let tx = lane % ${SPREAD}u;
  let ty = lane / ${SPREAD}u;
  ${range(4)
    .map((i) => `var a${i} = vec4<f32>();`)
    .join(' ')}
  for (var first = 0u; first < ${k}; first += ${DEPTH}u) {
${loadW(layout, chunking, numbers, chunks, real)}
${loadX(k, real)}
    workgroupBarrier();
    // Summed by tiles: one long sum in float32 would lose a digit.
    ${range(4)
      .map((i) => `var b${i} = vec4<f32>();`)
      .join(' ')}
    let depth = min(${DEPTH}u, ${k} - first);
    for (var k = 0u; k < depth; k++) {
      let w = vec4<f32>(${range(4)
        .map((i) => `f32(w_tile[w_place(tx + ${i * SPREAD}u, k)])`)
        .join(', ')});
      ${range(4)
        .map((i) => `b${i} = fma(vec4<f32>(f32(x_tile[x_place(ty + ${i * SPREAD}u, k)])), w, b${i});`)
        .join('\n      ')}
    }
    ${range(4)
      .map((i) => `a${i} += b${i};`)
      .join(' ')}
    workgroupBarrier();
  }
  for (var i = 0u; i < 16u; i++) {
    let row = select(select(a0, a1, i >= 4u), select(a2, a3, i >= 12u), i >= 8u);
    put(m_block + ty + (i / 4u) * ${SPREAD}u, n_block + tx + (i % 4u) * ${SPREAD}u, row[i % 4u]);
  }
}
`;
  return {code, inputs};
}

/** Decodes the tile's weights, a chunk a thread at a time; 0 past the last column and row. */
function loadW(layout: WeightLayout, chunking: Chunking, numbers: Numbers, chunks: string, real: string): string {
  const perRow = DEPTH / chunking.columns;
  const planeStart = (p: number) => (p === 0 ? '0u' : `params.plane${p}_start`);
  const {code, words} = loadWords({...chunking, vector: chunking.vector.map(() => false)}, 'w', 'base', 'c', planeStart);
  const steps = range(chunking.columns / chunking.step).map((s) => {
    const {scale, term} = factors(layout, 'n', `c * ${chunking.columns}u + ${s * chunking.step}u`);
    const stores: string[] = [];
    for (let i = (s * chunking.step) / 4; i < ((s + 1) * chunking.step) / 4; i++) {
      const weights = range(4).map((c) => powerOfTwo(-numbers.weight(4 * i + c)));
      const light = numbers.period === 0 ? '' : ` * vec4<f32>(${weights.join(', ')})`;
      const sum = term === '' ? 'scaled' : 'scaled + term';
      const store = range(4).map((c) => `w_tile[w_place(row, at + ${4 * i + c}u)] = ${real}(v[${c}]);`);
      stores.push(
        `{ let scaled = (${numbers.expression(i, words)})${light} * scale; let v = select(vec4<f32>(), ${sum}, here); ${store.join(' ')} }`,
      );
    }
    return `{ let scale = ${scale}; ${term === '' ? '' : `let term = ${term};`}\n${stores.join('\n')} }`;
  });
  return `    for (var u = lane; u < ${TILE * perRow}u; u += ${TILE_THREADS}u) {
      let row = u / ${perRow}u;
      let at = (u % ${perRow}u) * ${chunking.columns}u;
      let there = (first + at) / ${chunking.columns}u;
      let here = there < ${chunks} && n_block + row < params.row_end;
      let c = min(there, ${chunks} - 1u);
      let n = min(n_block + row, params.row_end - 1u);
      let base = n * params.row_words - params.codes_base;
${code}
${steps.join('\n')}
    }`;
}

/** Columns of x in stored order; 0 past the last column and row. */
function loadX(k: string, real: string): string {
  const rowsAtOnce = TILE_THREADS / DEPTH;
  return `    {
      let j = first + lane % ${DEPTH}u;
      let inside = j < ${k};
      let column = column_of(select(0u, j, inside));
      for (var row = lane / ${DEPTH}u; row < ${TILE}u; row += ${rowsAtOnce}u) {
        let m = m_block + row;
        var value = 0.0;
        if (inside && m < params.x_rows) { value = x[m * ${k} + column]; }
        x_tile[x_place(row, lane % ${DEPTH}u)] = ${real}(value);
      }
    }`;
}
