/** Products of one device on several threads. Internal: what 'wasm' uses is for kernels/wasm to say. */
import {useHeap} from '../../kernels/wasm/module.js';
import {HeapBackend, NOTHING_PENDING} from './heap_backend.js';
import {commonPool} from './pool.js';
import {ThreadedHeap} from './threaded_heap.js';

/**
 * Registers a device over a shared memory of its own, whose products `count` threads share, this one included: in Node, where tf.js's own wasm
 * memory is not shared. `leastProducts`: below this many multiplications this thread works alone.
 */
export async function registerThreads(name: string, count: number, leastProducts?: number): Promise<void> {
  const pool = await commonPool();
  while (pool.threads.length < count - 1) await pool.grow();
  const owner = new HeapBackend(NOTHING_PENDING);
  useHeap(owner.backend, new ThreadedHeap(owner.wasm, pool, pool.threads.slice(0, count - 1), owner.memory, leastProducts));
  owner.register(name);
}
