/** Fp8Quantize on webgpu: x rounded to 8 or 4 bits, codes and scales bit-equal to the oracle's, in one dispatch for all but a long x of one scale. */
import type {KernelFunc, TensorInfo} from '@tensorflow/tfjs';
import {type QuantizeAttrs, scaleCount, scaleShape} from '../input_quantization.js';
import {asWebGPU, profileOf, type WebGPUBackendLike} from './backend.js';
import {checkIndexRange, fold} from './grid.js';
import {healthOf} from './health.js';
import {verifyOnce} from './known_answer.js';
import {ALONE, amaxShader, columnShader, givenShader, groupShader, quantizeParams, SPAN} from './quantize.wgsl.js';
import {bufferOf, record} from './record.js';
import {checkBinding} from './resident.js';
import {cachedShader, type SizedShader} from './shader_cache.js';

type Kind = 'group' | 'split' | 'amax' | 'column' | 'given';

/** The shader of a kind; sizes are in its uniforms. */
function shaderFor(kind: Kind, attrs: QuantizeAttrs, threads: number): SizedShader {
  const text = kind === 'amax' ? '' : Object.values({...attrs, block: 0}).join(' ');
  const counts = {outputs: kind === 'amax' ? 1 : 2, inputs: kind === 'split' || kind === 'given' ? 2 : 1};
  return cachedShader(`quantize ${kind} ${threads} ${text}`, counts, (params) => {
    quantizeParams(params);
    if (kind === 'amax') return amaxShader(params, threads);
    if (kind === 'column') return columnShader(attrs, params);
    return kind === 'given' ? givenShader(attrs, params) : groupShader(attrs, params, threads, kind === 'split');
  });
}

/** Entries of x up to which one workgroup finds their common scale. */
const ONE_WORKGROUP = 4 * SPAN;

/** Threads that share `length` entries of x. Where shaders run on a CPU, more threads are only more to switch between. */
function threadsFor(length: number, software: boolean): number {
  if (length <= 32) return 32;
  return software || length <= 256 ? 64 : 256;
}

/** x [M, K], scale or none -> codes int32 or values float32 [M, K], and the scales (scaleShape), appended to the commands. */
export function recordQuantize(
  backend: WebGPUBackendLike,
  x: TensorInfo,
  scale: TensorInfo | undefined,
  attrs: QuantizeAttrs,
): [TensorInfo, TensorInfo] {
  const [rows, columns] = x.shape as [number, number];
  const {granularity, block} = attrs;
  const {limits, software} = profileOf(backend);
  const size = rows * columns;
  const entries = scaleCount(granularity, rows, columns, block);
  checkIndexRange('Fp8Quantize', [rows, columns]);
  checkBinding(backend, 'Fp8Quantize: x', size * 4);
  const made: TensorInfo[] = [];
  const make = (shape: number[], dtype: string, values?: Float32Array | Int32Array) => {
    made.push(backend.makeTensorInfo(shape, dtype, values));
    return made[made.length - 1] as TensorInfo;
  };
  const split = granularity === 'tensor' && scale === undefined && size > ONE_WORKGROUP;
  const spans = split ? Math.ceil(size / SPAN) : 1;
  const sizes = {rows, columns, block, blocks: block === 0 ? 1 : Math.ceil(columns / block), entries, spans};
  const run = (kind: Kind, groups: number, threads: number, outputs: TensorInfo[], inputs: TensorInfo[], given = 0) => {
    const {shader, params} = shaderFor(kind, attrs, threads);
    const tensors = [...outputs, ...inputs];
    const bindings = tensors.map((t) => ({buffer: bufferOf(backend, t)}));
    const grid = fold(groups, limits.maxComputeWorkgroupsPerDimension);
    record(backend, shader, bindings, params.bytes({...sizes, given_count: given}), grid, tensors);
  };
  try {
    // A tensor without bytes has no buffer, and is read from the host.
    const out = make([rows, columns], attrs.values ? 'float32' : 'int32', size === 0 ? new Int32Array(0) : undefined);
    const scales = make(scaleShape(granularity, rows, columns, block), 'float32', entries === 0 ? new Float32Array(0) : undefined);
    if (entries === 0) return [out, scales];
    // Nothing can be bound that has no bytes.
    const [target, source] = size === 0 ? [make([1], 'int32'), make([1], 'float32', Float32Array.of(0))] : [out, x];
    const outputs = [target, scales];
    if (scale !== undefined) {
      const count = scale.shape.reduce((a, b) => a * b, 1);
      run('given', Math.ceil(Math.max(size, entries) / ALONE), ALONE, outputs, [source, scale], count);
    } else if (granularity === 'rowwise') {
      run('column', Math.ceil(columns / ALONE), ALONE, outputs, [source]);
    } else {
      const threads = threadsFor(split ? SPAN : size / entries, software);
      if (split) {
        const amaxes = make([spans], 'int32');
        run('amax', spans, threads, [amaxes], [source]);
        run('split', spans, threads, outputs, [source, amaxes]);
      } else run('group', entries, threads, outputs, [source]);
    }
    for (const t of made.splice(2)) backend.disposeData(t.dataId);
    return [out, scales];
  } catch (error) {
    for (const t of made) backend.disposeData(t.dataId);
    throw error;
  }
}

export const fp8Quantize: KernelFunc = ({inputs, backend: given, attrs}) => {
  const backend = asWebGPU(given);
  healthOf(backend).assertWell();
  verifyOnce(backend, 'quantize');
  return recordQuantize(backend, inputs.x as TensorInfo, inputs.scale as TensorInfo | undefined, attrs as unknown as QuantizeAttrs);
};
