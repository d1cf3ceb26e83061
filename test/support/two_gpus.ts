/** Two webgpu devices for a spec: of one adapter, as a page or a machine with one GPU has them. */
import * as tf from '@tensorflow/tfjs';
import {ShardManager, type ShardManagerOptions} from '../../src/index.js';
import {registerWebGPU} from './webgpu.js';

/** Runs `f` with a manager over webgpu:0 and webgpu:1, and removes both. */
export async function withTwoGPUs(
  options: NonNullable<ShardManagerOptions['webgpu']>,
  f: (manager: ShardManager) => Promise<void>,
): Promise<void> {
  await registerWebGPU();
  const names = ['webgpu:0', 'webgpu:1'];
  // A page's bundle cannot find the class by itself.
  const {WebGPUBackend} = await import('@tensorflow/tfjs-backend-webgpu');
  const backendClass = WebGPUBackend as unknown as NonNullable<typeof options.backendClass>;
  const manager = await ShardManager.create({devices: names, webgpu: {backendClass, ...options}});
  try {
    await f(manager);
  } finally {
    await tf.setBackend('cpu');
    for (const name of names) {
      const {device} = tf.findBackend(name) as unknown as {device: GPUDevice};
      tf.removeBackend(name);
      device.destroy();
    }
  }
}
