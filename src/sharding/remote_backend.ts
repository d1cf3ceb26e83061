/** A tf.js backend whose tensors lie with another thread's device, where every kernel runs: to this thread it can be read at once. */
import * as tf from '@tensorflow/tfjs';
import {QUANTIZED_MATMUL, type QuantizedMatMulAttrs} from '../../kernels/attributes.js';
import {UnsupportedError} from '../errors.js';
import type {Answer, RemoteInputs, RemoteTensor} from './remote_messages.js';
import type {RemoteWorker} from './remote_worker.js';

interface Entry {
  readonly id: number;
  readonly bytes: number;
  refCount: number;
}

/** TypedArray -> its own copy, to be given away. */
function owned(values: tf.BackendValues, dtype: tf.DataType): tf.TypedArray {
  if (!Array.isArray(values)) return values.slice();
  throw new UnsupportedError({where: 'device in a thread', expected: 'numbers', received: `a tensor of ${dtype}`});
}

export class RemoteBackend extends tf.KernelBackend {
  /** For `readsSynchronously`. */
  readonly isSynchronous = true;
  /** As tf.js's webgpu backend has them, for `listDevices`. */
  readonly device: {readonly limits: Readonly<Record<string, number>>};
  readonly adapterInfo: Readonly<Record<string, string | boolean>>;
  private readonly entries: tf.DataStorage<Entry>;
  private readonly dataIds = new Map<number, object>();
  private made = 0;
  private bytes = 0;

  constructor(private readonly worker: RemoteWorker) {
    super();
    this.device = {limits: worker.ready.limits};
    this.adapterInfo = worker.ready.adapterInfo;
    this.entries = new tf.DataStorage(this, tf.engine());
  }

  /** Registers the thread's kernels under a name. */
  register(name: string): void {
    tf.registerBackend(name, () => this, 0);
    tf.findBackend(name);
    for (const kernelName of this.worker.ready.kernels) {
      // Of a device on this thread, under the same name.
      if (tf.getKernel(kernelName, name) !== undefined) tf.unregisterKernel(kernelName, name);
      tf.registerKernel({
        kernelName,
        backendName: name,
        kernelFunc: ({inputs, attrs = {}}) => this.run(kernelName, inputs as tf.NamedTensorInfoMap, attrs),
      });
    }
  }

  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(dataId: tf.DataId, values: tf.BackendValues, shape: number[], dtype: tf.DataType, refCount: number): void {
    const own = owned(values, dtype);
    const {id} = this.note(dataId, ++this.made, own.byteLength, refCount);
    this.worker.post({op: 'write', tensor: {id, shape, dtype}, values: own}, [own.buffer as ArrayBuffer]);
  }

  override readSync(dataId: tf.DataId): tf.BackendValues {
    return this.worker.askNow({op: 'read', id: this.entries.get(dataId).id}).values as tf.TypedArray;
  }

  override async read(dataId: tf.DataId): Promise<tf.BackendValues> {
    return (await this.worker.ask({op: 'read', id: this.entries.get(dataId).id})).values as tf.TypedArray;
  }

  override disposeData(dataId: tf.DataId, force = false): boolean {
    if (!this.entries.has(dataId)) return true;
    const entry = this.entries.get(dataId);
    entry.refCount--;
    if (!force && entry.refCount > 0) return false;
    this.entries.delete(dataId);
    this.dataIds.delete(entry.id);
    this.bytes -= entry.bytes;
    try {
      this.worker.post({op: 'free', id: entry.id});
    } catch {
      // The thread has ended, and everything there with it.
    }
    return true;
  }

  override incRef(dataId: tf.DataId): void {
    this.entries.get(dataId).refCount++;
  }

  decRef(dataId: tf.DataId): void {
    if (this.entries.has(dataId)) this.entries.get(dataId).refCount--;
  }

  override refCount(dataId: tf.DataId): number {
    return this.entries.has(dataId) ? this.entries.get(dataId).refCount : 0;
  }

  override numDataIds(): number {
    return this.entries.numDataIds();
  }

  override memory(): {unreliable: boolean; numBytesInGPU: number} {
    return {unreliable: false, numBytesInGPU: this.bytes};
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override timerAvailable(): boolean {
    return false;
  }

  override dispose(): void {
    this.worker.stop();
  }

  private run(kernel: string, inputs: tf.NamedTensorInfoMap, attrs: object): tf.TensorInfo | tf.TensorInfo[] {
    const [x] = Object.values(inputs) as (tf.TensorInfo | undefined)[];
    // What moves nothing needs no other thread.
    if (kernel === tf.Identity || kernel === tf.Reshape) return this.sameData(x as tf.TensorInfo, (attrs as {shape?: number[]}).shape);
    const remote = this.remoteInputs(inputs);
    if (kernel === QUANTIZED_MATMUL) {
      const {rowStart, rowEnd} = attrs as QuantizedMatMulAttrs;
      const shape = [(x as tf.TensorInfo).shape[0] as number, rowEnd - rowStart];
      const dataId = {};
      const {id} = this.note(dataId, ++this.made, 4 * tf.util.sizeFromShape(shape), 1);
      this.worker.post({op: 'run', kernel, inputs: remote, attrs, output: id});
      return {dataId, shape, dtype: 'float32'};
    }
    const {results} = this.worker.askNow({op: 'run', kernel, inputs: remote, attrs, output: null}) as Required<Answer>;
    return Array.isArray(results) ? results.map((t) => this.infoOf(t)) : this.infoOf(results);
  }

  private sameData({dataId, shape, dtype}: tf.TensorInfo, wanted = shape): tf.TensorInfo {
    // The numbers may still be on another backend.
    this.entries.get(dataId);
    this.incRef(dataId);
    return {dataId, shape: tf.util.inferFromImplicitShape(wanted, tf.util.sizeFromShape(shape)), dtype};
  }

  private remoteInputs(inputs: tf.NamedTensorInfoMap): RemoteInputs {
    const one = ({dataId, shape, dtype}: tf.TensorInfo): RemoteTensor => ({id: this.entries.get(dataId).id, shape, dtype});
    if (Array.isArray(inputs)) return (inputs as unknown as tf.TensorInfo[]).map(one);
    return Object.fromEntries(
      Object.entries(inputs).map(([name, t]) => {
        if (t === undefined || t === null) return [name, undefined];
        return [name, Array.isArray(t) ? (t as tf.TensorInfo[]).map(one) : one(t)];
      }),
    );
  }

  /** A result as tf.js knows it; an input that came back is used once more. */
  private infoOf({id, shape, dtype}: RemoteTensor): tf.TensorInfo {
    const known = this.dataIds.get(id);
    if (known !== undefined) {
      this.incRef(known);
      return {dataId: known, shape, dtype};
    }
    const dataId = {};
    this.note(dataId, id, tf.util.sizeFromShape(shape) * tf.util.bytesPerElement(dtype), 1);
    return {dataId, shape, dtype};
  }

  private note(dataId: tf.DataId, id: number, bytes: number, refCount: number): Entry {
    const entry = {id, bytes, refCount};
    this.entries.set(dataId, entry);
    this.dataIds.set(id, dataId);
    this.bytes += bytes;
    return entry;
  }
}
