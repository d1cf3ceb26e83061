/** Attend on webgpu: one dispatch, which writes the cache too; over a long past a second one combines. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {DeviceError} from '../../src/errors.js';
import type {AttendAttrs} from '../attention.js';
import {combineShader, fewShader, MOST_POSITIONS, manyShader, widthOf} from './attention.wgsl.js';
import {asWebGPU, type DeviceProfile, orDispose, profileOf, type WebGPUBackendLike} from './backend.js';
import {fold} from './grid.js';
import {healthOf} from './health.js';
import {verifyAttention} from './known_attention.js';
import {bufferOf, record} from './record.js';
import {checkBinding} from './resident.js';
import {cachedShader, type SizedShader} from './shader_cache.js';

/** New positions up to which each has workgroups of its own: the lanes of a tile would be idle. */
export const FEW = 8;
/** Positions that a workgroup takes where there are more than it could keep. */
const runFor = (software: boolean) => (software ? MOST_POSITIONS : 256);
const TILE = 32;
const COMBINE_THREADS = 64;

/** The shader for few new positions or for many, of heads of `dim`, and how many threads it has. */
export interface AttentionKernel extends SizedShader {
  readonly threads: number;
  readonly dim: number;
  readonly few: boolean;
}

/** Throws DeviceError for heads that are too wide for the device. */
function kernelFor(dim: number, count: number, {limits, software}: DeviceProfile): AttentionKernel {
  const size = dim / widthOf(dim);
  const counts = {outputs: 3, inputs: 3};
  const most = Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  const memory = limits.maxComputeWorkgroupStorageSize;
  const few = count <= FEW;
  if (few) {
    let threads = software ? 32 : 256;
    while (threads < size) threads *= 2;
    if (threads <= most && 4 * (dim + MOST_POSITIONS + 16 + threads * (1 + widthOf(dim))) <= memory) {
      return {threads, dim, few, ...cachedShader(`attend few ${dim} ${threads}`, counts, (p) => fewShader(p, dim, threads))};
    }
  } else {
    const threads = Math.min(64, most);
    const tile = Math.min(TILE, Math.floor(memory / (8 * dim)));
    const label = `attend many ${dim} ${threads} ${tile}`;
    if (tile > 0) return {threads, dim, few, ...cachedShader(label, counts, (p) => manyShader(p, dim, threads, tile))};
  }
  throw new DeviceError({
    where: 'webgpu attend',
    expected: `heads that fit workgroups of ${most} threads and ${memory} bytes`,
    received: `heads of ${dim}`,
    remedy: 'Give the turn as a matrix: attention then is composed of tf.js ops.',
  });
}

export const attend: KernelFunc = ({inputs, backend: given, attrs}) => {
  const backend = asWebGPU(given);
  healthOf(backend).assertWell();
  const {length} = attrs as unknown as AttendAttrs;
  const {qkv, keys, values, cos, sin} = inputs as Record<'qkv' | 'keys' | 'values' | 'cos' | 'sin', TensorInfo>;
  const [count, width] = qkv.shape as [number, number];
  const [keyHeads, capacity, dim] = keys.shape as [number, number, number];
  const heads = width / dim - 2 * keyHeads;
  const profile = profileOf(backend);
  checkBinding(backend, 'Attend: keys', keyHeads * capacity * dim * 4);
  checkBinding(backend, 'Attend: qkv', count * width * 4);
  const kernel = kernelFor(dim, count, profile);
  const splits = kernel.few && length + count > MOST_POSITIONS ? Math.ceil((length + count) / runFor(profile.software)) : 1;
  const run = splits === 1 ? MOST_POSITIONS : runFor(profile.software);
  const out = backend.makeTensorInfo([count, heads * dim], 'float32');
  return orDispose(backend, out, () => {
    verifyAttention(backend, kernel, splits > 1);
    recordAttend(backend, kernel, {qkv, keys, values, cos, sin}, {length, splits, run}, out);
  });
};

/** Appends the dispatches; with several splits each takes `run` positions of the past, and their results are combined. */
export function recordAttend(
  backend: WebGPUBackendLike,
  {shader, params, threads, dim, few}: AttentionKernel,
  {qkv, keys, values, cos, sin}: Readonly<Record<'qkv' | 'keys' | 'values' | 'cos' | 'sin', TensorInfo>>,
  {length, splits, run}: Readonly<Record<'length' | 'splits' | 'run', number>>,
  out: TensorInfo,
): void {
  const [keyHeads, capacity] = keys.shape as [number, number, number];
  const [count, heads] = [qkv.shape[0] as number, (out.shape[1] as number) / dim];
  const rows = count * heads;
  const groups = few ? rows * splits : keyHeads * Math.ceil(rows / keyHeads / threads);
  const target = splits === 1 ? out : backend.makeTensorInfo([rows * splits, dim + widthOf(dim)], 'float32');
  const uniforms = params.bytes({length, count, heads, key_heads: keyHeads, capacity, splits, run});
  const tensors = [target, keys, values, qkv, cos, sin];
  const bindings = tensors.map((t) => ({buffer: bufferOf(backend, t)}));
  record(backend, shader, bindings, uniforms, fold(groups, profileOf(backend).limits.maxComputeWorkgroupsPerDimension), tensors);
  if (splits === 1) return;
  combine(backend, target, out, {rows, splits, dim});
  backend.disposeData(target.dataId);
}

function combine(
  backend: WebGPUBackendLike,
  parts: TensorInfo,
  out: TensorInfo,
  {rows, splits, dim}: Record<'rows' | 'splits' | 'dim', number>,
) {
  const {shader, params} = cachedShader(`attend combine ${dim}`, {inputs: 1}, (p) => combineShader(p, dim, COMBINE_THREADS));
  const groups = Math.ceil((rows * dim) / widthOf(dim) / COMBINE_THREADS);
  const bindings = [out, parts].map((t) => ({buffer: bufferOf(backend, t)}));
  const grid = fold(groups, profileOf(backend).limits.maxComputeWorkgroupsPerDimension);
  record(backend, shader, bindings, params.bytes({rows, splits}), grid, [out, parts]);
}
