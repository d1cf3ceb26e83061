/** A worker as a device: weights lie in a memory shared with one worker, and the worker computes the products while this thread goes on. */
import {compiled, replaceHeap, type WasmExports, WasmHeap} from '../../kernels/wasm/module.js';
import {HeapBackend} from './heap_backend.js';
import {codeOf, EXPORT_NAMES, type ExportName, type WorkerPool} from './pool.js';
import type {WorkerThread} from './worker_thread.js';

/** Exports that answer: they run here, after what the worker has to do. */
const ANSWERING: readonly ExportName[] = ['prepareRow', 'prepareFloats', 'unpackRows'];

/** What returns nothing is posted to the worker, what answers is computed here. */
class PostingHeap extends WasmHeap {
  constructor(
    owner: HeapBackend,
    pool: WorkerPool,
    private readonly thread: WorkerThread,
  ) {
    super(owner.wasm);
    const direct = this.exports;
    const heap = pool.attach(compiled(true).module, owner.memory, [thread]);
    const posted = EXPORT_NAMES.map((name): [string, (...args: number[]) => unknown] => {
      if (!ANSWERING.includes(name)) return [name, (...args) => thread.post({code: codeOf(name), heap, args})];
      return [
        name,
        (...args) => {
          thread.waitFor();
          return (direct[name] as (...args: number[]) => number)(...args);
        },
      ];
    });
    this.exports = Object.fromEntries(posted) as unknown as WasmExports;
  }

  /** The area of the last call may still be read. */
  override scratch(bytes: number): number {
    this.thread.waitFor();
    return super.scratch(bytes);
  }
}

/** Registers a worker of the pool as the backend of this name. */
export function registerWorker(name: string, pool: WorkerPool, thread: WorkerThread): void {
  const owner = new HeapBackend({
    settle: () => thread.waitFor(),
    settleAsync: () => thread.waitForAsync(),
    posted: () => thread.count,
    isDone: (posted) => thread.isDone(posted),
  });
  replaceHeap(owner.backend, new PostingHeap(owner, pool, thread));
  owner.register(name);
}
