/**
 * A worker as a device: a tf.js backend whose weights lie in a memory shared with one worker, and whose products the worker computes. tf.js's own
 * ops run here, on tf.js's cpu kernels; they wait for the worker where they need its results.
 */
import * as tf from '@tensorflow/tfjs';
import {registerWasmKernels} from '../../kernels/wasm/index.js';
import {compiled, useHeap, type WasmBackend, type WasmExports, WasmHeap} from '../../kernels/wasm/module.js';
import {codeOf, EXPORT_NAMES, type ExportName, type WorkerPool} from './pool.js';
import {SharedHeap} from './shared_heap.js';
import type {WorkerThread} from './worker_thread.js';

type Values = tf.BackendValues;

/** What tf.js's cpu backend knows of a tensor. */
interface Entry {
  values: Values;
  dtype: tf.DataType;
  refCount: number;
}

/** The part of tf.js's cpu backend that is built upon. */
interface CpuBackend extends tf.KernelBackend {
  data: {get(dataId: object): Entry; has(dataId: object): boolean; set(dataId: object, entry: Entry): void};
  firstUse: boolean;
  readSync(dataId: object): Values;
}

/** Exports that answer: they run here, after what the worker has to do. */
const ANSWERING: readonly ExportName[] = ['prepareRow', 'unpackRows'];

class WorkerDevice {
  private readonly heap = new SharedHeap();
  /** Memory given back while commands may still read it, and how many commands those are. */
  private waiting: {address: number; count: number}[] = [];
  private readonly addresses = new WeakMap<object, number>();
  private heapNumber = 0;
  readonly backend: CpuBackend;

  constructor(
    Base: new () => CpuBackend,
    pool: WorkerPool,
    private readonly thread: WorkerThread,
  ) {
    const backend = new Base();
    // It has no advice to give on Node.
    backend.firstUse = false;
    this.backend = backend;
    this.extendBackend(backend);
    const kernels = new WorkerHeap(backend as unknown as WasmBackend, this);
    this.heapNumber = pool.attach(compiled(true).module, this.heap.memory, kernels.direct, [thread]);
    useHeap(backend, kernels);
  }

  get memory(): WebAssembly.Memory {
    return this.heap.memory;
  }

  post(name: ExportName, args: readonly number[]): void {
    this.thread.post({code: codeOf(name), heap: this.heapNumber, args, parallel: null});
  }

  settle(): void {
    this.thread.waitFor();
    this.sweep();
  }

  allocate(bytes: number): number {
    this.sweep();
    return this.heap.allocate(bytes);
  }

  /** Given back once the commands posted so far are done. */
  release(address: number): void {
    if (this.thread.isDone(this.thread.count)) this.heap.release(address);
    else this.waiting.push({address, count: this.thread.count});
  }

  /** Address of a tensor's numbers in the shared memory, taken there at the first call. */
  address(dataId: object): number {
    let address = this.addresses.get(dataId);
    if (address === undefined) {
      const entry = this.backend.data.get(dataId);
      const values = entry.values as Float32Array | Int32Array;
      address = this.allocate(values.byteLength);
      const view = this.view(address, entry.dtype, values.length);
      view.set(values);
      // The numbers are held once.
      entry.values = view;
      this.addresses.set(dataId, address);
    }
    return address;
  }

  private view(address: number, dtype: string, length: number): Float32Array | Int32Array {
    const {buffer} = this.heap.memory;
    return dtype === 'float32' ? new Float32Array(buffer, address, length) : new Int32Array(buffer, address, length);
  }

  private sweep(): void {
    if (this.waiting.length === 0) return;
    this.waiting = this.waiting.filter(({address, count}) => {
      if (!this.thread.isDone(count)) return true;
      this.heap.release(address);
      return false;
    });
  }

  private makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo {
    const length = shape.reduce((a, b) => a * b, 1);
    const address = this.allocate(length * 4);
    const view = this.view(address, dtype, length);
    const info = this.backend.write([] as unknown as Float32Array, shape, dtype);
    const entry = this.backend.data.get(info);
    // Whoever reads waits for the worker.
    Object.defineProperty(entry, 'values', {
      get: () => {
        this.settle();
        return view;
      },
      configurable: true,
    });
    this.addresses.set(info, address);
    return {dataId: info, shape, dtype};
  }

  private extendBackend(backend: CpuBackend): void {
    const {readSync, disposeData} = backend;
    Object.assign(backend, {
      wasm: {
        _malloc: (bytes: number) => this.allocate(bytes),
        _free: (address: number) => this.release(address),
        wasmMemory: this.heap.memory,
      },
      dataIdMap: {get: (dataId: object) => ({memoryOffset: this.address(dataId)})},
      makeOutput: (shape: number[], dtype: tf.DataType) => this.makeOutput(shape, dtype),
      // Copies: the memory is used again after the tensor is gone.
      readSync: (dataId: object) => owned(readSync.call(backend, dataId)),
      read: async (dataId: object) => {
        await this.thread.waitForAsync();
        return owned(readSync.call(backend, dataId));
      },
      disposeData: (dataId: object, force = false) => {
        const gone = disposeData.call(backend, dataId, force);
        const address = this.addresses.get(dataId);
        if (gone && address !== undefined) {
          this.addresses.delete(dataId);
          this.release(address);
        }
        return gone;
      },
    });
  }
}

function owned(values: Values): Values {
  return values instanceof Float32Array || values instanceof Int32Array ? values.slice() : values;
}

/** The heap that our wasm kernels see: what returns nothing is posted to the worker, what answers is computed here. */
class WorkerHeap extends WasmHeap {
  /** The exports of the instance of this thread. */
  readonly direct: WasmExports;

  constructor(
    backend: WasmBackend,
    private readonly device: WorkerDevice,
  ) {
    super(backend);
    const direct = this.exports;
    this.direct = direct;
    const posted = EXPORT_NAMES.map((name): [string, (...args: number[]) => unknown] => {
      if (!ANSWERING.includes(name)) return [name, (...args) => device.post(name, args)];
      return [
        name,
        (...args) => {
          device.settle();
          return (direct[name] as (...args: number[]) => number)(...args);
        },
      ];
    });
    this.exports = Object.fromEntries(posted) as unknown as WasmExports;
  }

  /** The area of the last call may still be read. */
  override scratch(bytes: number): number {
    this.device.settle();
    return super.scratch(bytes);
  }
}

/** Registers a worker of the pool as the backend of this name. */
export function registerWorker(name: string, pool: WorkerPool, thread: WorkerThread): void {
  const Base = tf.findBackend('cpu').constructor as new () => CpuBackend;
  const device = new WorkerDevice(Base, pool, thread);
  tf.registerBackend(name, () => device.backend, 0);
  // Started here: it is there at once.
  tf.findBackend(name);
  registerWasmKernels(name);
  const ours = new Set((tf.getKernelsForBackend(name) ?? []).map(({kernelName}) => kernelName));
  for (const kernel of tf.getKernelsForBackend('cpu')) {
    if (!ours.has(kernel.kernelName)) tf.registerKernel({...kernel, backendName: name});
  }
}
