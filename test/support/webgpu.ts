/** tf.js's webgpu backend for specs: the browser's own, or Dawn in Node (npm `webgpu`). */
import * as tf from '@tensorflow/tfjs';
import {provideDawn} from '../../examples/chat/dawn.js';
import {asWebGPU, overrideProfile, type ProfileOverrides, type WebGPUBackendLike} from '../../kernels/webgpu/backend.js';
import {createWebGPUBackend, type WebGPUDeviceOptions} from '../../kernels/webgpu/device.js';
import {registerWebgpuKernels} from '../../kernels/webgpu/index.js';
import {WEBGPU_VARIANT_FLAG} from '../../kernels/webgpu/matmul.js';

let started: Promise<void> | null = null;

async function start(): Promise<void> {
  await provideDawn();
  await import('@tensorflow/tfjs-backend-webgpu');
}

/** Registers tf.js's 'webgpu' backend, once. */
export function registerWebGPU(): Promise<void> {
  started ??= start();
  return started;
}

/** Sets the backend 'webgpu', and throws where there is none. */
export async function useWebGPU(): Promise<void> {
  await registerWebGPU();
  if (!(await tf.setBackend('webgpu'))) throw new Error("The backend 'webgpu' did not start.");
}

/** tf.js's or our own webgpu backend object; the current one where no name is given. */
export function webgpuBackend(name?: string): WebGPUBackendLike {
  return asWebGPU(name === undefined ? tf.backend() : tf.findBackend(name));
}

/** Bytes of buffers in use, once what was recorded has been submitted. */
function gpuBytes(): number {
  const backend = webgpuBackend();
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
  return (tf.memory() as unknown as {numBytesInGPU: number}).numBytesInGPU;
}

/** What `f` makes the GPU do: dispatches, submissions, and buffers written from the host. */
export async function countWork(f: () => unknown): Promise<{dispatches: number; submits: number; writes: number}> {
  const {queue} = webgpuBackend();
  const pass = GPUComputePassEncoder.prototype;
  const {dispatchWorkgroups} = pass;
  const counts = {dispatches: 0, submits: 0, writes: 0};
  const own = {submit: queue.submit.bind(queue), writeBuffer: queue.writeBuffer.bind(queue)};
  pass.dispatchWorkgroups = function (...grid) {
    counts.dispatches++;
    return dispatchWorkgroups.apply(this, grid);
  };
  queue.submit = (commands) => {
    counts.submits++;
    return own.submit(commands);
  };
  queue.writeBuffer = (...args: Parameters<GPUQueue['writeBuffer']>) => {
    counts.writes++;
    return own.writeBuffer(...args);
  };
  try {
    await f();
  } finally {
    pass.dispatchWorkgroups = dispatchWorkgroups;
    Object.assign(queue, own);
  }
  return counts;
}

/** A suite on backend 'webgpu', in the browser and in Node. Fails a spec after which GPU bytes have grown. */
export function describeWebGPU(name: string, define: () => void): void {
  describe(`${name} on webgpu`, () => {
    let before = 0;
    beforeAll(async () => {
      await registerWebGPU();
      if (tf.getKernel('QuantizedMatMul', 'webgpu') === undefined) registerWebgpuKernels();
    });
    beforeEach(async () => {
      await useWebGPU();
      before = gpuBytes();
    });
    afterEach(async () => {
      await useWebGPU();
      const grown = gpuBytes() - before;
      if (grown !== 0) fail(`The spec left ${grown} bytes on the GPU.`);
    });
    afterAll(async () => {
      await tf.setBackend('cpu');
    });
    define();
  });
}

/** Runs `f` with a kernel variant forced. */
export async function withVariant<T>(variant: string, f: () => Promise<T>): Promise<T> {
  tf.env().set(WEBGPU_VARIANT_FLAG, variant as unknown as boolean);
  try {
    return await f();
  } finally {
    tf.env().set(WEBGPU_VARIANT_FLAG, 'auto' as unknown as boolean);
  }
}

/** Runs `f` with a lesser device than the current backend's. */
export async function withProfile<T>(changes: ProfileOverrides, f: () => Promise<T>): Promise<T> {
  const backend = webgpuBackend();
  overrideProfile(backend, changes);
  try {
    return await f();
  } finally {
    overrideProfile(backend, null);
  }
}

/** tf.js's class: a page's bundle holds it, but has no module of that name to import. */
export async function webgpuClass(): Promise<NonNullable<WebGPUDeviceOptions['backendClass']>> {
  const {WebGPUBackend} = await import('@tensorflow/tfjs-backend-webgpu');
  return WebGPUBackend as unknown as NonNullable<WebGPUDeviceOptions['backendClass']>;
}

let devices = 0;

/** Runs `f` on a webgpu device of its own, under a name of its own, and removes it. */
export async function withDevice<T>(options: WebGPUDeviceOptions, f: (name: string) => Promise<T>): Promise<T> {
  await registerWebGPU();
  const backendClass = await webgpuClass();
  const name = await createWebGPUBackend({name: `webgpu:${100 + devices++}`, priority: 0, backendClass, ...options});
  const before = tf.getBackend();
  try {
    await tf.setBackend(name);
    return await f(name);
  } finally {
    await tf.setBackend(before);
    const device = webgpuBackend(name).device;
    tf.removeBackend(name);
    device.destroy();
  }
}
