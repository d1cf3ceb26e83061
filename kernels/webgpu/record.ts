/** Compiles pipelines, once a device and shader, and adds dispatches to tf.js's command encoder. */
import {env, type TensorInfo} from '@tensorflow/tfjs';
import {DeviceError} from '../../src/errors.js';
import {remember} from '../memo.js';
import type {WebGPUBackendLike} from './backend.js';
import {healthOf} from './health.js';

/** What a shader binds, in order: outputs, inputs read only, then the uniforms. */
export interface Shader {
  readonly label: string;
  readonly code: string;
  /** Storage buffers written, from binding 0. Default 1. */
  readonly outputs?: number;
  /** Storage buffers read, after the outputs and before the uniforms. */
  readonly inputs: number;
}

interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const caches = new WeakMap<GPUDevice, Map<string, Pipeline>>();

let transform: ((shader: Shader) => string) | null = null;

/** For tests: rewrites shaders before they are compiled, such as a device's compiler might do. null undoes it. */
export function rewriteShaders(rewrite: ((shader: Shader) => string) | null): void {
  transform = rewrite;
}

const cacheOf = (device: GPUDevice) => remember(caches, device, () => new Map());

/** The text that is compiled: what pipelines are kept by. */
const textOf = (shader: Shader) => (transform === null ? shader.code : transform(shader));

function describe(device: GPUDevice, shader: Shader, code: string) {
  const types: GPUBufferBindingType[] = [
    ...Array<GPUBufferBindingType>(shader.outputs ?? 1).fill('storage'),
    ...Array<GPUBufferBindingType>(shader.inputs).fill('read-only-storage'),
    'uniform',
  ];
  const layout = device.createBindGroupLayout({
    label: shader.label,
    entries: types.map((type, binding) => ({binding, visibility: 4 /* GPUShaderStage.COMPUTE */, buffer: {type}})),
  });
  const descriptor: GPUComputePipelineDescriptor = {
    label: shader.label,
    layout: device.createPipelineLayout({bindGroupLayouts: [layout]}),
    compute: {
      module: device.createShaderModule({label: shader.label, code}),
      entryPoint: 'main',
    },
  };
  return {layout, descriptor};
}

function refused(backend: WebGPUBackendLike, shader: Shader, message: string): void {
  healthOf(backend).fail(
    new DeviceError({where: `webgpu shader '${shader.label}'`, expected: 'a shader that the device compiles', received: message}),
  );
}

/** The pipeline of a shader, compiled at the first call. A shader that the device refuses fails the device's pending and later reads. */
export function pipelineFor(backend: WebGPUBackendLike, shader: Shader): Pipeline {
  const {device} = backend;
  const code = textOf(shader);
  return remember(cacheOf(device), code, () => {
    device.pushErrorScope('validation');
    const {layout, descriptor} = describe(device, shader, code);
    const entry = {pipeline: device.createComputePipeline(descriptor), layout};
    const scope = device.popErrorScope().then((error) => {
      if (error !== null) refused(backend, shader, error.message);
    });
    healthOf(backend).check(scope);
    return entry;
  });
}

/** Compiles ahead, off the main thread. Resolves when the pipeline is there; throws DeviceError where the device refuses it. */
export async function compileAhead(backend: WebGPUBackendLike, shader: Shader): Promise<void> {
  const {device} = backend;
  const cache = cacheOf(device);
  const code = textOf(shader);
  if (cache.has(code)) return;
  const {layout, descriptor} = describe(device, shader, code);
  try {
    const pipeline = await device.createComputePipelineAsync(descriptor);
    if (!cache.has(code)) cache.set(code, {pipeline, layout});
  } catch (error) {
    refused(backend, shader, (error as Error).message);
    throw healthOf(backend).error;
  }
}

export interface Binding {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly size?: number;
}

/** The buffer of a tensor, uploaded if it was still on the host. */
export function bufferOf(backend: WebGPUBackendLike, info: TensorInfo): GPUBuffer {
  backend.uploadToGPU(info.dataId);
  return backend.tensorMap.get(info.dataId).resource as GPUBuffer;
}

const UNIFORM_COPY = 0x40 | 0x8; // GPUBufferUsage.UNIFORM | COPY_DST

/** Blocks of uniforms kept on a device: those of a model's layers are the same at every token, and need no upload again. */
const BLOCKS = 512;

const blocks = new WeakMap<GPUDevice, Map<string, GPUBuffer>>();

/** A buffer of these bytes, which nobody writes again: the one there is, or a new one in place of that used longest ago. */
function uniformsBuffer(device: GPUDevice, uniforms: ArrayBuffer): GPUBuffer {
  const known = remember(blocks, device, () => new Map());
  const key = new Uint32Array(uniforms).join();
  let block = known.get(key);
  if (block === undefined) {
    block = device.createBuffer({size: uniforms.byteLength, usage: UNIFORM_COPY});
    device.queue.writeBuffer(block, 0, uniforms);
    // Commands not yet submitted may bind the oldest: it is left to the garbage collector.
    if (known.size >= BLOCKS) known.delete(known.keys().next().value as string);
  }
  known.delete(key);
  known.set(key, block);
  return block;
}

/**
 * Appends one dispatch. `bindings`: outputs first, then the shader's inputs. `tensors`: all that the bindings belong to; tf.js
 * keeps their buffers until the commands are submitted, also where they are disposed before.
 */
export function record(
  backend: WebGPUBackendLike,
  shader: Shader,
  bindings: readonly Binding[],
  uniforms: ArrayBuffer,
  grid: readonly [number, number, number],
  tensors: readonly TensorInfo[],
): void {
  const {device} = backend;
  const {pipeline, layout} = pipelineFor(backend, shader);
  const block = uniformsBuffer(device, uniforms);
  for (const t of tensors) backend.commandQueueOwnedIds.add(t.dataId);
  const bindGroup = device.createBindGroup({
    layout,
    entries: [...bindings, {buffer: block}].map((resource, binding) => ({binding, resource})),
  });
  backend.ensureCommandEncoderReady();
  const timed = backend.activeTimers != null && backend.supportTimestampQuery === true;
  if (timed) backend.endComputePassEncoder();
  if (backend.computePassEncoder === null || timed) {
    backend.computePassEncoder = (backend.commandEncoder as GPUCommandEncoder).beginComputePass(timed ? timestamps(backend) : {});
  }
  const pass = backend.computePassEncoder;
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...grid);
  backend.dispatchCountInPass++;
  if (timed) {
    backend.endComputePassEncoder();
    (backend.activeTimers as unknown[]).push({name: shader.label, query: backend.getQueryTime()});
  } else if (backend.dispatchCountInPass >= (env().getNumber('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE') || 1)) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
}

/** As tf.js's own kernels take part in tf.time(). */
function timestamps(backend: WebGPUBackendLike): GPUComputePassDescriptor {
  backend.querySet ??= backend.device.createQuerySet({type: 'timestamp', count: 2});
  return {timestampWrites: {querySet: backend.querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1}};
}
