/** Devices by name, opened where that takes more than their name. */
import * as tf from '@tensorflow/tfjs';
import {createWebGPUBackend, type WebGPUDeviceOptions} from '../../kernels/webgpu/device.js';
import {registeredBackends} from '../device.js';
import {DeviceError} from '../errors.js';
import {inNode} from '../io/node_module.js';
import {RemoteBackend} from './remote_backend.js';
import {RemoteWorker} from './remote_worker.js';
import {isStarted} from './transfer.js';
import {startWorker} from './workers.js';

/** How webgpu devices are opened. */
export interface OpenWebGPUOptions extends Omit<WebGPUDeviceOptions, 'name'> {
  /**
   * In Node: the device lies in a worker thread, so that this one can wait for its results, and `forward` works as well as `forwardAsync`.
   * Default: true in Node, unless `gpu` or `backendClass` are given, which stay on this thread.
   */
  thread?: boolean;
}

/** Starts every backend, and opens webgpu devices that are not registered. The current backend stays (the first device where there is none yet). Throws DeviceError. */
export async function openDevices(names: readonly string[], webgpu: OpenWebGPUOptions): Promise<void> {
  // Nothing is current before a program has set a backend: then the first device is.
  const before = (tf.getBackend() as string | undefined) ?? (names[0] as string);
  try {
    for (const name of new Set(names)) {
      if (/^webgpu(:\d+)?$/.test(name) && !registeredBackends().includes(name)) {
        await openWebGPU(name, webgpu);
      }
      if (/^worker:\d+$/.test(name)) await startWorker(name);
      if (!isStarted(name)) await start(name);
    }
  } finally {
    if (tf.getBackend() !== before) await tf.setBackend(before);
  }
}

async function openWebGPU(name: string, {thread, ...options}: OpenWebGPUOptions): Promise<void> {
  const own = options.gpu !== undefined || options.backendClass !== undefined;
  if (thread ?? (inNode() && !own)) new RemoteBackend(await RemoteWorker.start(name, options)).register(name);
  else await createWebGPUBackend({priority: 0, ...options, name});
}

async function start(name: string): Promise<void> {
  if (!registeredBackends().includes(name)) {
    throw new DeviceError({
      where: `device '${name}'`,
      expected: `a registered backend: ${registeredBackends().join(', ')}`,
      received: name,
    });
  }
  if (await tf.setBackend(name)) return;
  throw new DeviceError({where: `device '${name}'`, expected: 'a backend that starts', received: 'one that does not'});
}
