/**
 * The shaders of attention. New positions are turned where they are read, so that none has to wait for the cache: a call is one dispatch, which
 * also writes them there. A head is `D / width` vectors; keys and values are [KH, capacity, D], qkv and the angles as ops.attend has them.
 */
import {WORKGROUP_INDEX} from './grid.js';
import type {Params} from './params.js';

/** Positions whose weights a workgroup keeps: more are shared by several, whose results are combined. */
export const MOST_POSITIONS = 1024;

/** Below any score; infinities differ between GPUs. */
const LOWEST = '-1e30';

export const widthOf = (dim: number): 2 | 4 => (dim % 4 === 0 ? 4 : 2);

const MAIN = `fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${WORKGROUP_INDEX}`;

/** Bindings, `turned` (a vector of a head of q or k), `key_at` and `value_at` (of a position of a head of k), and `append`. */
function declare(dim: number, params: Params): string {
  for (const name of ['length', 'count', 'heads', 'key_heads', 'capacity', 'splits', 'run']) params.add(name, 0);
  const width = widthOf(dim);
  const [half, size] = [dim / 2, dim / width];
  const each = (text: (c: number) => string) => [...Array(width).keys()].map(text).join(', ');
  const inputs = ['qkv', 'cosines', 'sines'].map((name, i) => `@group(0) @binding(${3 + i}) var<storage, read> ${name}: array<f32>;`);
  const outputs = ['result', 'keys', 'values'].map((name, i) => `@group(0) @binding(${i}) var<storage, read_write> ${name}: array<V>;`);
  return `alias V = vec${width}<f32>;
${outputs.join('\n')}
${inputs.join('\n')}
${params.wgsl(6)}
fn place(m: u32, head: u32) -> u32 { return (m * (params.heads + 2u * params.key_heads) + head) * ${dim}u; }
fn turn(m: u32, base: u32, at: u32) -> f32 {
  let i = at % ${half}u;
  let a = qkv[base + i]; let b = qkv[base + ${half}u + i];
  let c = cosines[m * ${half}u + i]; let s = sines[m * ${half}u + i];
  return select(a * c - b * s, b * c + a * s, at >= ${half}u);
}
fn turned(m: u32, head: u32, i: u32) -> V {
  let base = place(m, head);
  return V(${each((c) => `turn(m, base, i * ${width}u + ${c}u)`)});
}
fn held(t: u32, head: u32, i: u32) -> u32 { return (head * params.capacity + t) * ${size}u + i; }
fn key_at(t: u32, head: u32, i: u32) -> V {
  if (t < params.length) { return keys[held(t, head, i)]; }
  return turned(t - params.length, params.heads + head, i);
}
fn value_at(t: u32, head: u32, i: u32) -> V {
  if (t < params.length) { return values[held(t, head, i)]; }
  let at = place(t - params.length, params.heads + params.key_heads + head) + i * ${width}u;
  return V(${each((c) => `qkv[at + ${c}u]`)});
}
fn append(t: u32, head: u32, i: u32, k: V, v: V) { keys[held(t, head, i)] = k; values[held(t, head, i)] = v; }
`;
}

/**
 * A workgroup a position, head of q and `run` positions of the past: for few new positions. With several runs (`splits`) the result is not divided,
 * and followed by its largest score and the sum of its weights, for combineShader.
 */
export function fewShader(params: Params, dim: number, threads: number): string {
  const size = dim / widthOf(dim);
  const slices = Math.floor(threads / size);
  const side = threads < 128 ? 8 : 16;
  const total = (name: string, op: (a: string, b: string) => string) => `part[lane] = ${name};
  workgroupBarrier();
  if (lane < ${side}u) {
    for (var i = lane + ${side}u; i < ${threads}u; i += ${side}u) { ${name} = ${op(name, 'part[i]')}; }
    firsts[lane] = ${name};
  }
  workgroupBarrier();
  ${name} = firsts[0];
  for (var i = 1u; i < ${side}u; i++) { ${name} = ${op(name, 'firsts[i]')}; }`;
  return `${declare(dim, params)}
var<workgroup> q: array<V, ${size}>;
var<workgroup> weights: array<f32, ${MOST_POSITIONS}>;
var<workgroup> part: array<f32, ${threads}>;
var<workgroup> firsts: array<f32, ${side}>;
var<workgroup> sums: array<V, ${threads}>;
@compute @workgroup_size(${threads})
${MAIN}
  let row = group / params.splits;
  if (row >= params.count * params.heads) { return; }
  let m = row / params.heads;
  let h = row % params.heads;
  let shared_by = params.heads / params.key_heads;
  let head = h / shared_by;
  let now = params.length + m;
  let first = group % params.splits * params.run;
  let end = min(first + params.run, now + 1u);
  let cached = min(end, params.length);
  for (var i = lane; i < ${size}u; i += ${threads}u) {
    q[i] = turned(m, h, i);
    if (h % shared_by == 0u && first == 0u) { append(now, head, i, key_at(now, head, i), value_at(now, head, i)); }
  }
  workgroupBarrier();
  var top = ${LOWEST};
  for (var t = first + lane; t < end; t += ${threads}u) {
    var score = 0.0;
    if (t < cached) {
      let at = held(t, head, 0u);
      for (var i = 0u; i < ${size}u; i++) { score += dot(q[i], keys[at + i]); }
    } else {
      for (var i = 0u; i < ${size}u; i++) { score += dot(q[i], key_at(t, head, i)); }
    }
    weights[t - first] = score;
    top = max(top, score);
  }
  ${total('top', (a, b) => `max(${a}, ${b})`)}
  var sum = 0.0;
  for (var t = first + lane; t < end; t += ${threads}u) {
    let weight = exp(weights[t - first] - top);
    weights[t - first] = weight;
    sum += weight;
  }
  ${total('sum', (a, b) => `${a} + ${b}`)}
  let i = lane % ${size}u;
  var own = V();
  if (lane < ${slices * size}u) {
    var t = first + lane / ${size}u;
    for (; t < cached; t += ${slices}u) { own += weights[t - first] * values[held(t, head, i)]; }
    for (; t < end; t += ${slices}u) { own += weights[t - first] * value_at(t, head, i); }
  }
  sums[lane] = own;
  workgroupBarrier();
  if (lane >= ${size}u) { return; }
  for (var s = 1u; s < ${slices}u; s++) { own += sums[s * ${size}u + lane]; }
  if (params.splits == 1u) { result[row * ${size}u + lane] = own / sum; return; }
  let at = group * ${size + 1}u;
  result[at + lane] = own;
  if (lane == 0u) { result[at + ${size}u].x = top; result[at + ${size}u].y = sum; }
}
`;
}

/** What `splits` workgroups of fewShader left of each of `rows` rows, as one result. */
export function combineShader(params: Params, dim: number, threads: number): string {
  for (const name of ['rows', 'splits']) params.add(name, 0);
  const size = dim / widthOf(dim);
  const place = `(row * params.splits + s) * ${size + 1}u`;
  return `alias V = vec${widthOf(dim)}<f32>;
@group(0) @binding(0) var<storage, read_write> result: array<V>;
@group(0) @binding(1) var<storage, read> parts: array<V>;
${params.wgsl(2)}
@compute @workgroup_size(${threads})
${MAIN}
  let at = group * ${threads}u + lane;
  let row = at / ${size}u;
  if (row >= params.rows) { return; }
  var top = ${LOWEST};
  for (var s = 0u; s < params.splits; s++) { top = max(top, parts[${place} + ${size}u].x); }
  var sum = 0.0;
  var all = V();
  for (var s = 0u; s < params.splits; s++) {
    let weight = exp(parts[${place} + ${size}u].x - top);
    sum += weight * parts[${place} + ${size}u].y;
    all += weight * parts[${place} + at % ${size}u];
  }
  result[at] = all / sum;
}
`;
}

/**
 * A thread a row, that is a new position of a head of q, all over one head of k: its keys and values pass through workgroup memory, `tile` positions at
 * a time. For prompts. Source of the running softmax: Milakov and Gimelshein 2018, arXiv 1805.02867; of the tiles: Dao et al. 2022, arXiv 2205.14135.
 */
export function manyShader(params: Params, dim: number, threads: number, tile: number): string {
  const size = dim / widthOf(dim);
  const each = (text: string) => `for (var i = 0u; i < ${size}u; i++) { ${text} }`;
  return `${declare(dim, params)}
var<workgroup> k_tile: array<V, ${tile * size}>;
var<workgroup> v_tile: array<V, ${tile * size}>;
@compute @workgroup_size(${threads})
${MAIN}
  let shared_by = params.heads / params.key_heads;
  let rows = params.count * shared_by;
  let blocks = (rows + ${threads - 1}u) / ${threads}u;
  let head = group / blocks;
  if (head >= params.key_heads) { return; }
  let first = group % blocks * ${threads}u;
  let row = min(first + lane, rows - 1u);
  let m = row / shared_by;
  let h = head * shared_by + row % shared_by;
  let reach = params.length + m + 1u;
  let last = min(first + ${threads}u, rows) - 1u;
  let end = params.length + last / shared_by + 1u;
  var q: array<V, ${size}>;
  var own: array<V, ${size}>;
  ${each('q[i] = turned(m, h, i); own[i] = V();')}
  var top = ${LOWEST};
  var sum = 0.0;
  for (var begin = 0u; begin < end; begin += ${tile}u) {
    for (var u = lane; u < ${tile * size}u; u += ${threads}u) {
      let t = begin + u / ${size}u;
      if (t < end) {
        k_tile[u] = key_at(t, head, u % ${size}u);
        v_tile[u] = value_at(t, head, u % ${size}u);
        if (last == rows - 1u && t >= params.length) { append(t, head, u % ${size}u, k_tile[u], v_tile[u]); }
      }
    }
    workgroupBarrier();
    let seen = min(${tile}u, max(reach, begin) - begin);
    for (var j = 0u; j < seen; j++) {
      var score = 0.0;
      ${each(`score += dot(q[i], k_tile[j * ${size}u + i]);`)}
      if (score > top) {
        let less = exp(top - score);
        sum *= less;
        ${each('own[i] *= less;')}
        top = score;
      }
      let weight = exp(score - top);
      sum += weight;
      ${each(`own[i] += weight * v_tile[j * ${size}u + i];`)}
    }
    workgroupBarrier();
  }
  if (first + lane >= rows) { return; }
  ${each(`result[(m * params.heads + h) * ${size}u + i] = own[i] / sum;`)}
}
`;
}
