/** Two webgpu devices for a spec: of one adapter, as a page or a machine with one GPU has them. */
import * as tf from '@tensorflow/tfjs';
import {ShardManager, type ShardManagerOptions} from '../../src/index.js';
import {registerWebGPU} from './webgpu.js';

/** Runs `f` with a manager over webgpu:0 and webgpu:1, and removes both. */
export async function withTwoGPUs(
  options: Omit<ShardManagerOptions, 'devices'>,
  f: (manager: ShardManager) => Promise<void>,
): Promise<void> {
  await registerWebGPU();
  const names = ['webgpu:0', 'webgpu:1'];
  const manager = await ShardManager.create({devices: names, ...options});
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
