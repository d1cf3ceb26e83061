/** The shaders of Fp8Quantize. Floats are bits throughout: codes and scales are equal to the oracle's on any device. */
import type {QuantizeAttrs} from '../input_quantization.js';
import {bitsLiteral, decodeFunction, encodeFunction, ROUND_DOWN} from './encode.wgsl.js';
import {EXACT} from './exact.wgsl.js';
import {INFINITY} from './float_bits.wgsl.js';
import {WORKGROUP_INDEX} from './grid.js';
import type {Params} from './params.js';

/** Entries of x that a workgroup takes where several share one scale for all of x. */
export const SPAN = 4096;
/** Threads of a workgroup where each thread works by itself. */
export const ALONE = 64;

/** Every number that a shader of this file may ask for; entries are scales. */
export function quantizeParams(params: Params): void {
  for (const name of ['nothing', 'rows', 'columns', 'block', 'blocks', 'entries', 'spans', 'given_count']) params.add(name, 0);
}

/** `fn rounded(v, scale, inverse)`: the code of v / scale, or code * scale, as bits. */
function roundFunction({dtype, reciprocal, values}: QuantizeAttrs): string {
  return `${ROUND_DOWN}${encodeFunction(dtype)}${values ? decodeFunction(dtype) : ''}
fn rounded(v: u32, scale: u32, inverse: u32) -> u32 {
  var scaled = v;
  if ((v & 0x7fffffffu) <= ${INFINITY}) {
    scaled = select(${reciprocal ? 'multiply_bits(v, inverse)' : 'divide_bits(v, scale)'}, 0u, (scale & 0x7fffffffu) == 0u);
  }
  let code = encode_${dtype}(scaled);
  return ${values ? `multiply_bits(decode_${dtype}(code), scale)` : 'code'};
}
`;
}

/** `fn scale_of(amax)`: the dynamic scale, and what x is multiplied by where it is not divided. */
function scaleFunction(attrs: QuantizeAttrs): string {
  const [divisor, global] = [bitsLiteral(attrs.divisor), bitsLiteral(attrs.globalScale)];
  const twoLevels = attrs.globalScale !== 0;
  const type = 'float8_e4m3fn';
  // Where x is rounded to this type too, its functions are there already.
  const encode = twoLevels && attrs.dtype !== type ? encodeFunction(type) : '';
  const decode = twoLevels && !(attrs.dtype === type && attrs.values) ? decodeFunction(type) : '';
  return `${encode}${decode}fn scale_of(amax: u32) -> vec2<u32> {
  let bounded = select(min(max(amax, ${bitsLiteral(attrs.amaxFloor)}), ${bitsLiteral(attrs.scaleUb)}), amax, amax > ${INFINITY});
  var scale = divide_bits(bounded, ${divisor});
  ${twoLevels ? `scale = divide_bits(decode_${type}(encode_${type}(multiply_bits(${global}, scale))), ${global});` : ''}
  ${attrs.reciprocal ? `return vec2<u32>(scale, select(divide_bits(${divisor}, bounded), 0u, bounded == 0u));` : 'return vec2<u32>(scale, 0u);'}
}
`;
}

const storage = (binding: number, name: string, access: 'read' | 'read_write') =>
  `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<u32>;\n`;

function program(params: Params, buffers: string, uniforms: number, functions: string, threads: number, main: string): string {
  return `${buffers}${params.wgsl(uniforms)}${functions}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${WORKGROUP_INDEX}
  ${main}
}
`;
}

const OUTPUTS = storage(0, 'result', 'read_write') + storage(1, 'scales', 'read_write') + storage(2, 'x', 'read');

/** One scale a workgroup, of neighbouring entries of x; where x is `split`, all workgroups share one, whose amax is in `amaxes` by parts. */
export function groupShader(attrs: QuantizeAttrs, params: Params, threads: number, split: boolean): string {
  const places = {
    tensor: 'let base = 0u; let count = params.rows * params.columns;',
    colwise: 'let base = e * params.columns; let count = params.columns;',
    block: `let at = (e % params.blocks) * params.block; let base = (e / params.blocks) * params.columns + at;
  let count = min(params.block, params.columns - at);`,
    rowwise: '',
  };
  const buffers = OUTPUTS + (split ? storage(3, 'amaxes', 'read') : '');
  const gather = split
    ? `for (var i = lane; i < params.spans; i += ${threads}u) { own = max(own, amaxes[i]); }`
    : `for (var i = lane; i < count; i += ${threads}u) { own = max(own, x[base + i] & 0x7fffffffu); }`;
  const main = `if (group >= params.entries * params.spans) { return; }
  let e = group / params.spans;
  ${places[attrs.granularity]}
  // As integers magnitudes are in the order of floats, and NaN is above them all.
  var own = 0u;
  ${gather}
  atomicMax(&amax, own);
  workgroupBarrier();
  let s = scale_of(atomicLoad(&amax));
  if (lane == 0u) { scales[e] = s.x; }
  ${split ? `let first = group * ${SPAN}u; let last = min(first + ${SPAN}u, count);` : 'let first = 0u; let last = count;'}
  for (var i = first + lane; i < last; i += ${threads}u) { result[base + i] = rounded(x[base + i], s.x, s.y); }`;
  const functions = `${EXACT}${roundFunction(attrs)}${scaleFunction(attrs)}var<workgroup> amax: atomic<u32>;`;
  return program(params, buffers, split ? 4 : 3, functions, threads, main);
}

/** x -> the largest magnitude of every SPAN entries. */
export function amaxShader(params: Params, threads: number): string {
  const main = `if (group >= params.spans) { return; }
  let last = min((group + 1u) * ${SPAN}u, params.rows * params.columns);
  var own = 0u;
  for (var i = group * ${SPAN}u + lane; i < last; i += ${threads}u) { own = max(own, x[i] & 0x7fffffffu); }
  atomicMax(&amax, own);
  workgroupBarrier();
  if (lane == 0u) { result[group] = atomicLoad(&amax); }`;
  const buffers = storage(0, 'result', 'read_write') + storage(1, 'x', 'read');
  return program(params, buffers, 2, 'var<workgroup> amax: atomic<u32>;', threads, main);
}

/** One scale a column of x, and a thread. */
export function columnShader(attrs: QuantizeAttrs, params: Params): string {
  const main = `let k = group * ${ALONE}u + lane;
  if (k >= params.columns) { return; }
  let end = params.rows * params.columns;
  var amax = 0u;
  for (var i = k; i < end; i += params.columns) { amax = max(amax, x[i] & 0x7fffffffu); }
  let s = scale_of(amax);
  scales[k] = s.x;
  for (var i = k; i < end; i += params.columns) { result[i] = rounded(x[i], s.x, s.y); }`;
  return program(params, OUTPUTS, 3, `${EXACT}${roundFunction(attrs)}${scaleFunction(attrs)}`, ALONE, main);
}

/** Scales are given, one for all or one an entry: a thread rounds one number, and copies one scale. */
export function givenShader(attrs: QuantizeAttrs, params: Params): string {
  const entry = {
    tensor: '0u',
    colwise: 'i / params.columns',
    rowwise: 'i % params.columns',
    block: '(i / params.columns) * params.blocks + (i % params.columns) / params.block',
  };
  const main = `let i = group * ${ALONE}u + lane;
  if (i < params.entries) { scales[i] = given[select(i, 0u, params.given_count == 1u)]; }
  if (i >= params.rows * params.columns) { return; }
  let e = ${entry[attrs.granularity]};
  let scale = given[select(e, 0u, params.given_count == 1u)];
  result[i] = rounded(x[i], scale, ${attrs.reciprocal ? `divide_bits(${bitsLiteral(1)}, scale)` : '0u'});`;
  return program(params, OUTPUTS + storage(3, 'given', 'read'), 4, `${EXACT}${roundFunction(attrs)}`, ALONE, main);
}
