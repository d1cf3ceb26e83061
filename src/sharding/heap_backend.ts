/**
 * A tf.js backend whose tensors lie in a memory that threads share: tf.js's cpu kernels for its own ops, our wasm kernels on that memory for
 * products. A worker as a device, and threads in Node (where tf.js's own wasm memory is not shared), are built on it.
 */
import * as tf from '@tensorflow/tfjs';
import {registerWasmKernels} from '../../kernels/wasm/index.js';
import type {WasmBackend} from '../../kernels/wasm/module.js';
import {SharedHeap} from './shared_heap.js';

type Values = tf.BackendValues;

/** What tf.js's cpu backend knows of a tensor. */
interface Entry {
  values: Values;
  dtype: tf.DataType;
  refCount: number;
}

/** The part of tf.js's cpu backend that is built upon. */
export interface CpuBackend extends tf.KernelBackend {
  data: {get(dataId: object): Entry; has(dataId: object): boolean};
  firstUse: boolean;
  readSync(dataId: object): Values;
}

/** When results are there. */
export interface Pending {
  /** Waits for everything posted. */
  settle(): void;
  settleAsync(): Promise<void>;
  /** A number that grows with what is posted, and whether all up to it is done. */
  posted(): number;
  isDone(posted: number): boolean;
}

/** Results are there when a kernel returns. */
export const NOTHING_PENDING: Pending = {settle: () => undefined, settleAsync: async () => undefined, posted: () => 0, isDone: () => true};

export class HeapBackend {
  readonly backend: CpuBackend;
  private readonly heap = new SharedHeap();
  private readonly addresses = new WeakMap<object, number>();
  /** Memory given back while it may still be read. */
  private waiting: {address: number; posted: number}[] = [];

  constructor(private readonly pending: Pending) {
    const Base = tf.findBackend('cpu').constructor as new () => CpuBackend;
    this.backend = new Base();
    // It has no advice to give on Node.
    this.backend.firstUse = false;
    this.extend(this.backend);
  }

  get memory(): WebAssembly.Memory {
    return this.heap.memory;
  }

  /** The same object, as our wasm kernels see it. */
  get wasm(): WasmBackend {
    return this.backend as unknown as WasmBackend;
  }

  /** Under this name from now on, with our wasm kernels, and tf.js's cpu kernels for the rest. */
  register(name: string): void {
    tf.registerBackend(name, () => this.backend, 0);
    // Started here: it is there at once.
    tf.findBackend(name);
    registerWasmKernels(name);
    const ours = new Set(tf.getKernelsForBackend(name).map(({kernelName}) => kernelName));
    for (const kernel of tf.getKernelsForBackend('cpu')) {
      if (!ours.has(kernel.kernelName)) tf.registerKernel({...kernel, backendName: name});
    }
  }

  allocate(bytes: number): number {
    this.sweep();
    return this.heap.allocate(bytes);
  }

  /** Given back once what was posted so far is done. */
  release(address: number): void {
    const posted = this.pending.posted();
    if (this.pending.isDone(posted)) this.heap.release(address);
    else this.waiting.push({address, posted});
  }

  private sweep(): void {
    if (this.waiting.length === 0) return;
    const done = this.waiting.filter(({posted}) => this.pending.isDone(posted));
    if (done.length === 0) return;
    this.waiting = this.waiting.filter((block) => !done.includes(block));
    for (const {address} of done) this.heap.release(address);
  }

  /** Address of a tensor's numbers in the shared memory, taken there at the first call. */
  private address(dataId: object): number {
    const known = this.addresses.get(dataId);
    if (known !== undefined) return known;
    const entry = this.backend.data.get(dataId);
    const values = entry.values as Float32Array | Int32Array;
    const address = this.allocate(values.byteLength);
    const view = this.view(address, entry.dtype, values.length);
    view.set(values);
    // The numbers are held once.
    entry.values = view;
    this.addresses.set(dataId, address);
    return address;
  }

  private view(address: number, dtype: string, length: number): Float32Array | Int32Array {
    const {buffer} = this.heap.memory;
    return dtype === 'float32' ? new Float32Array(buffer, address, length) : new Int32Array(buffer, address, length);
  }

  private makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo {
    const length = shape.reduce((a, b) => a * b, 1);
    const address = this.allocate(length * 4);
    const view = this.view(address, dtype, length);
    const dataId = this.backend.write(new Float32Array(0), shape, dtype);
    // Whoever reads waits.
    Object.defineProperty(this.backend.data.get(dataId), 'values', {
      get: () => {
        this.pending.settle();
        return view;
      },
      configurable: true,
    });
    this.addresses.set(dataId, address);
    return {dataId, shape, dtype};
  }

  private extend(backend: CpuBackend): void {
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
        await this.pending.settleAsync();
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
