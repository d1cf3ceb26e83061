/** The shaders of the steps between products: a gated activation, and root-mean-square normalisation. */
import type {Activation} from '../activation.js';
import {activationFunction} from './activation.wgsl.js';
import {WORKGROUP_INDEX} from './grid.js';
import type {Params} from './params.js';

export const GATED_WORKGROUP = 64;

const MAIN = `fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) counts: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  ${WORKGROUP_INDEX}`;
const RESULT = '@group(0) @binding(0) var<storage, read_write> result: array<f32>;\n';
const X = '@group(0) @binding(1) var<storage, read> x: array<f32>;\n';

/** x [M, 2 N] -> act(x[:, :N]) * x[:, N:], a thread a number. */
export function gatedShader(params: Params, activation: Activation): string {
  for (const name of ['size', 'width']) params.add(name, 0);
  return `${RESULT}${X}${params.wgsl(2)}${activationFunction(activation)}
@compute @workgroup_size(${GATED_WORKGROUP})
${MAIN}
  let i = group * ${GATED_WORKGROUP}u + lane;
  if (i >= params.size) { return; }
  let at = i + i / params.width * params.width;
  result[i] = activate(x[at]) * x[at + params.width];
}
`;
}

/**
 * x [M, K], weight [K] -> x / sqrt(mean(x^2) + epsilon) * weight, a workgroup of side * side threads a row. Squares are added up in two
 * steps of `side`: as few barriers as a tree of any depth can have, and no thread adds long.
 */
export function rmsShader(params: Params, side: number): string {
  for (const name of ['rows', 'columns', 'epsilon']) params.add(name, 0);
  const threads = side * side;
  return `${RESULT}${X}@group(0) @binding(2) var<storage, read> weight: array<f32>;
${params.wgsl(3)}
var<workgroup> part: array<f32, ${threads}>;
var<workgroup> sums: array<f32, ${side}>;
@compute @workgroup_size(${threads})
${MAIN}
  if (group >= params.rows) { return; }
  let base = group * params.columns;
  var own = 0.0;
  for (var k = lane; k < params.columns; k += ${threads}u) { own = fma(x[base + k], x[base + k], own); }
  part[lane] = own;
  workgroupBarrier();
  if (lane < ${side}u) {
    var sum = 0.0;
    for (var i = 0u; i < ${side}u; i++) { sum += part[lane * ${side}u + i]; }
    sums[lane] = sum;
  }
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < ${side}u; i++) { total += sums[i]; }
  let scale = inverseSqrt(total / f32(params.columns) + bitcast<f32>(params.epsilon));
  for (var k = lane; k < params.columns; k += ${threads}u) { result[base + k] = x[base + k] * scale * weight[k]; }
}
`;
}
