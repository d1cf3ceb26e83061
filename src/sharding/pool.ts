/**
 * The workers of this process or page, for devices of their own (one worker each) and for products whose rows all threads share. Needs shared
 * memory: Node, or a page that is cross-origin isolated.
 */
import type {WasmExports} from '../../kernels/wasm/module.js';
import {DeviceError} from '../errors.js';
import {inNode} from '../io/node_module.js';
import {type Parallel, WorkerThread} from './worker_thread.js';

export type ExportName = keyof WasmExports;

/** Exports that a command can name. */
export const EXPORT_NAMES: readonly ExportName[] = [
  'unpackRows',
  'gatherRow',
  'prepareRow',
  'gemv',
  'gemvBytes',
  'gemm',
  'gemmFloats',
  'prepareFloats',
  'gemvFloats',
  'quantize',
  'gated',
  'rmsNorm',
  'finish',
];

/** Jobs whose counters may be in use at once: a worker that wakes late must find the old one used up. */
const JOBS = 64;

/** Rows shared by the calling thread and some workers, which must have the memory. */
export interface SharedRows extends Omit<Parallel, 'job'> {
  readonly threads: readonly WorkerThread[];
  readonly heap: number;
  readonly name: ExportName;
  readonly args: readonly number[];
}

export class WorkerPool {
  private readonly jobs: Int32Array;
  private nextJob = 0;
  private heaps = 0;
  /** Commands that each of its workers had when a job's counter was last used. */
  private readonly usedUntil = new Map<number, (readonly [WorkerThread, number])[]>();
  private readonly exports = new Map<number, WasmExports>();

  private constructor(
    readonly threads: readonly WorkerThread[],
    private readonly jobMemory: SharedArrayBuffer,
  ) {
    this.jobs = new Int32Array(jobMemory);
  }

  /** Whether workers can share memory here. */
  static get isSupported(): boolean {
    if (typeof SharedArrayBuffer === 'undefined') return false;
    return inNode() || (globalThis as {crossOriginIsolated?: boolean}).crossOriginIsolated === true;
  }

  /** Throws DeviceError where there is no shared memory. */
  static async start(workers: number): Promise<WorkerPool> {
    if (!WorkerPool.isSupported) {
      throw new DeviceError({
        where: 'workers',
        expected: 'shared memory',
        received: 'a page that is not cross-origin isolated',
        remedy: "Serve it with 'Cross-Origin-Opener-Policy: same-origin' and 'Cross-Origin-Embedder-Policy: require-corp'.",
      });
    }
    const jobs = new SharedArrayBuffer(JOBS * 8);
    const threads = await Promise.all(Array.from({length: workers}, (_, i) => WorkerThread.start(i + 1, EXPORT_NAMES, jobs)));
    return new WorkerPool(threads, jobs);
  }

  /** One more worker. */
  async grow(): Promise<WorkerThread> {
    const thread = await WorkerThread.start(this.threads.length + 1, EXPORT_NAMES, this.jobMemory);
    (this.threads as WorkerThread[]).push(thread);
    return thread;
  }

  /** Workers (default: all) get a memory; `exports` are the calling thread's own on it. Its number is for commands. */
  attach(module: WebAssembly.Module, memory: WebAssembly.Memory, exports: WasmExports, threads = this.threads): number {
    const heap = this.heaps++;
    this.exports.set(heap, exports);
    for (const thread of threads) thread.attach({heap, module, memory});
    return heap;
  }

  /** Runs rows [begin, end) in chunks on the threads and this one, and returns when they are done. */
  run({threads, heap, name, args, ...parallel}: SharedRows): void {
    const job = this.takeJob();
    Atomics.store(this.jobs, 2 * job, parallel.begin);
    Atomics.store(this.jobs, 2 * job + 1, 0);
    const code = codeOf(name);
    for (const thread of threads) thread.post({code, heap, args, parallel: {job, ...parallel}});
    this.usedUntil.set(
      job,
      threads.map((thread) => [thread, thread.count] as const),
    );
    const f = this.exports.get(heap)?.[name] as (...args: number[]) => void;
    const own = [...args];
    const {begin, end, chunk, beginAt, endAt, moveAt, moveStep} = parallel;
    for (;;) {
      const first = Atomics.add(this.jobs, 2 * job, chunk);
      if (first >= end) break;
      const last = Math.min(end, first + chunk);
      own[beginAt] = first;
      own[endAt] = last;
      if (moveAt >= 0) own[moveAt] = (args[moveAt] as number) + (first - begin) * moveStep;
      f(...own);
      Atomics.add(this.jobs, 2 * job + 1, last - first);
    }
    // The tail of what others took; a worker that has not woken up yet took nothing.
    while (Atomics.load(this.jobs, 2 * job + 1) < end - begin) for (const thread of threads) thread.assertWell();
  }

  stop(): void {
    for (const thread of this.threads) thread.stop();
  }

  private takeJob(): number {
    const job = this.nextJob;
    this.nextJob = (this.nextJob + 1) % JOBS;
    for (const [thread, count] of this.usedUntil.get(job) ?? []) thread.waitFor(count);
    return job;
  }
}

export function codeOf(name: ExportName): number {
  return EXPORT_NAMES.indexOf(name);
}

let common: Promise<WorkerPool> | null = null;

/** The one pool of this process or page, started at the first call without workers; it grows as they are asked for. */
export function commonPool(): Promise<WorkerPool> {
  common ??= WorkerPool.start(0);
  return common;
}
