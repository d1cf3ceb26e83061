/** A wasm heap whose large products are shared, by rows of the weight, between this thread and the workers of a pool. */
import {compiled, type WasmBackend, type WasmExports, WasmHeap} from '../../kernels/wasm/module.js';
import type {ExportName, WorkerPool} from './pool.js';
import type {WorkerThread} from './worker_thread.js';

/** Places of the arguments that differ from chunk to chunk. */
interface Shared {
  readonly beginAt: number;
  readonly endAt: number;
  /** y: row `begin` of the weight is its column 0. */
  readonly moveAt: number;
  readonly scratchAt: number;
  /** Rows of x, or 1. */
  readonly rowsAt: number | null;
}

const SHARED: Readonly<Partial<Record<ExportName, Shared>>> = {
  gemv: {beginAt: 7, endAt: 8, moveAt: 9, scratchAt: 10, rowsAt: null},
  gemvBytes: {beginAt: 7, endAt: 8, moveAt: 9, scratchAt: 10, rowsAt: null},
  gemm: {beginAt: 9, endAt: 10, moveAt: 11, scratchAt: 13, rowsAt: 6},
  gemmFloats: {beginAt: 4, endAt: 5, moveAt: 6, scratchAt: 8, rowsAt: 3},
  gemvFloats: {beginAt: 5, endAt: 6, moveAt: 7, scratchAt: 8, rowsAt: null},
};

/** Below this many products waking the others costs more than they save: 2^20 take a third of a millisecond. */
const LEAST_PRODUCTS = 2 ** 20;

/** Kernels take four rows of the weight at a time. */
const ROWS_TOGETHER = 4;

/** Chunks a thread: enough that the last to finish is not far behind. */
const CHUNKS = 4;

/** Place of K in a descriptor. */
const IN_DIM = 1;

export class ThreadedHeap extends WasmHeap {
  private readonly direct: WasmExports;
  private readonly heap: number;
  private areas = {address: 0, bytes: 0};

  /** `memory` must be shared, and be the backend's. */
  constructor(
    private readonly owner: WasmBackend,
    private readonly pool: WorkerPool,
    private readonly threads: readonly WorkerThread[],
    private readonly memoryOfAll: WebAssembly.Memory,
    private readonly leastProducts = LEAST_PRODUCTS,
  ) {
    super(owner);
    this.direct = this.exports;
    this.heap = pool.attach(compiled(true).module, memoryOfAll, this.direct, threads);
    const shared = Object.entries(SHARED).map(([name, places]) => [
      name,
      (...args: number[]) => this.share(name as ExportName, places, args),
    ]);
    this.exports = {...this.direct, ...(Object.fromEntries(shared) as Partial<WasmExports>)};
  }

  private share(name: ExportName, {rowsAt, ...places}: Shared, args: number[]): void {
    const [begin, end] = [args[places.beginAt] as number, args[places.endAt] as number];
    const inDim = new Int32Array(this.memoryOfAll.buffer, args[1] as number, IN_DIM + 1)[IN_DIM] as number;
    const rows = rowsAt === null ? 1 : (args[rowsAt] as number);
    const threads = this.threads.length + 1;
    if (threads === 1 || (end - begin) * inDim * rows < this.leastProducts) {
      (this.direct[name] as (...args: number[]) => void)(...args);
      return;
    }
    const scratchStep = workBytes(inDim);
    args[places.scratchAt] = this.area(threads * scratchStep);
    const chunk = Math.max(1, Math.ceil((end - begin) / (threads * CHUNKS * ROWS_TOGETHER))) * ROWS_TOGETHER;
    this.pool.run({threads: this.threads, heap: this.heap, name, args, begin, end, chunk, ...places, scratchStep, moveStep: 4});
  }

  /** Memory of the threads, one after the other. */
  private area(bytes: number): number {
    if (bytes > this.areas.bytes) {
      if (this.areas.address !== 0) this.owner.wasm._free(this.areas.address);
      this.areas = {bytes, address: this.owner.wasm._malloc(bytes + 80)};
    }
    return (this.areas.address + 15) & ~15;
  }
}

/** What any of the products needs for itself: four rows as float32, one row of codes, eight runs of scales in blocks of 16. */
function workBytes(inDim: number): number {
  const codes = (inDim + 31) & ~31;
  return 16 * inDim + codes + 8 * 4 * (inDim / 16 + 8) + 256;
}
