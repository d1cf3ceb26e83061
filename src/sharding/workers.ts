/** Workers as devices, by name: 'worker:0', 'worker:1' ... */
import {registeredBackends} from '../device.js';
import {ArgumentError} from '../errors.js';
import {commonPool} from './pool.js';
import {registerWorker} from './worker_backend.js';

/** Far more than there are cores. */
const MOST_WORKERS = 1024;

/** Names of the workers that have started. */
const started: Map<string, Promise<void>> = new Map();

/**
 * Starts workers (Node's worker threads, a page's Web Workers) as devices 'worker:0' to 'worker:n-1', and returns their names. A shard on one is
 * multiplied there while this thread does something else; its memory is its own, up to 4 GiB. A machine is fully used by 'wasm' and one worker
 * fewer than it has cores. Throws DeviceError where threads cannot share memory: a page has to be cross-origin isolated.
 *
 * ```js
 * const [name] = await tfl.startWorkers(1);
 * const layer = new tfl.ColumnParallelLinear({inDim: 4, outDim: 6, devices: ['cpu', name]});
 * layer.forward(tf.ones([2, 4])).shape; // [2, 6]
 * ```
 */
export async function startWorkers(count: number): Promise<string[]> {
  if (!Number.isInteger(count) || count < 0 || count > MOST_WORKERS) {
    throw new ArgumentError({where: 'startWorkers', expected: `a whole number from 0 to ${MOST_WORKERS}`, received: count});
  }
  const names = Array.from({length: count}, (_, i) => `worker:${i}`);
  for (const name of names) await startWorker(name);
  return names;
}

/** Starts the worker of this name, once. */
export function startWorker(name: string): Promise<void> {
  let starting = started.get(name);
  if (starting === undefined) {
    starting = start(name).catch((error: unknown) => {
      started.delete(name);
      throw error;
    });
    started.set(name, starting);
  }
  return starting;
}

async function start(name: string): Promise<void> {
  if (registeredBackends().includes(name)) return;
  const pool = await commonPool();
  registerWorker(name, pool, await pool.grow());
}
