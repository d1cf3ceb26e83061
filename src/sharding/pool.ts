/**
 * The workers of this process or page, for devices of their own (one worker each) and for teams that share the rows of every call. Needs shared
 * memory: Node, or a page that is cross-origin isolated.
 */
import type {WasmExports} from '../../kernels/wasm/module.js';
import type {ExportName} from '../../kernels/wasm/parallel.js';
import {DeviceError} from '../errors.js';
import {inNode} from '../io/node_module.js';
import type {TeamData} from './team_source.js';
import {WorkerThread} from './worker_thread.js';

export type {ExportName};

/** Exports that a command can name. */
const EXPORTS: Readonly<Record<keyof WasmExports, true>> = {
  unpackRows: true,
  packFloats: true,
  prepareRow: true,
  prepareCodes: true,
  prepareBytes: true,
  packRows: true,
  dotKind: true,
  gemvDots: true,
  gemv: true,
  gemvBytes: true,
  gemm: true,
  gemmFloats: true,
  prepareFloats: true,
  gemvFloats: true,
  quantize: true,
  appendHeads: true,
  attend: true,
  gated: true,
  rmsNorm: true,
  addTo: true,
  finish: true,
  runChain: true,
};
export const EXPORT_NAMES = Object.keys(EXPORTS) as readonly ExportName[];

export class WorkerPool {
  private readonly workers = new Set<WorkerThread>();
  private started = 0;
  private heaps = 0;

  /** The workers that are there. */
  get threads(): readonly WorkerThread[] {
    return [...this.workers];
  }

  /** Whether workers can share memory here. */
  static get isSupported(): boolean {
    if (typeof SharedArrayBuffer === 'undefined') return false;
    return inNode() || (globalThis as {crossOriginIsolated?: boolean}).crossOriginIsolated === true;
  }

  /** Throws DeviceError where there is no shared memory. */
  static assertSupported(where: string): void {
    if (WorkerPool.isSupported) return;
    throw new DeviceError({
      where,
      expected: 'shared memory',
      received: 'a page that is not cross-origin isolated',
      remedy: "Serve it with 'Cross-Origin-Opener-Policy: same-origin' and 'Cross-Origin-Embedder-Policy: require-corp'.",
    });
  }

  /** One more worker. */
  async grow(): Promise<WorkerThread> {
    const thread = await WorkerThread.start(++this.started, EXPORT_NAMES);
    this.workers.add(thread);
    return thread;
  }

  /** Workers get a memory, and join a team where one is given. Returns its number, which is for commands. */
  attach(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    threads: readonly WorkerThread[],
    team: ((worker: number) => TeamData) | null = null,
  ): number {
    const heap = this.heaps++;
    threads.forEach((thread, i) => thread.attach({heap, module, memory, team: team === null ? null : team(i + 1)}));
    return heap;
  }

  /** Ends a worker at once, whatever it does. */
  async remove(thread: WorkerThread): Promise<void> {
    this.workers.delete(thread);
    await thread.terminate();
  }
}

export function codeOf(name: ExportName): number {
  return EXPORT_NAMES.indexOf(name);
}

let common: WorkerPool | null = null;

/** The one pool of this process or page; it grows as workers are asked for. Throws DeviceError where there is no shared memory. */
export async function commonPool(): Promise<WorkerPool> {
  WorkerPool.assertSupported('workers');
  common ??= new WorkerPool();
  return common;
}
