/**
 * A Node worker thread with a WebGPU device of its own. A device answers between two tasks of a thread; here that is not the thread of the
 * program, which can therefore sleep until the answer is there.
 */
import {workerData} from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs';
import {asWebGPU} from '../../kernels/webgpu/backend.js';
import {createWebGPUBackend} from '../../kernels/webgpu/device.js';
import {healthOf} from '../../kernels/webgpu/health.js';
import {GPU_LIMITS} from './list_devices.js';
import type {Answer, Failure, Ready, RemoteInputs, RemoteSetup, RemoteTensor, Request} from './remote_messages.js';

const {port, signal, options} = workerData as RemoteSetup;
const NAME = 'webgpu';

/** What tf.js's backend calls a tensor, by our id, and the other way. */
const dataIds = new Map<number, object>();
const ids = new WeakMap<object, number>();
let made = 0;
/** Of a request that nobody waits for. */
let failure: Failure | null = null;

function say(message: Answer | Ready, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
  Atomics.add(signal, 0, 1);
  Atomics.notify(signal, 0);
}

process.on('exit', () => {
  Atomics.store(signal, 1, 1);
  Atomics.add(signal, 0, 1);
  Atomics.notify(signal, 0);
});

function named(error: unknown): Failure {
  const {name = 'Error', message = String(error)} = error as Partial<Error>;
  return {name, message};
}

function note(id: number, dataId: object): void {
  dataIds.set(id, dataId);
  ids.set(dataId, id);
}

function infoOf({id, shape, dtype}: RemoteTensor): tf.TensorInfo {
  return {dataId: dataIds.get(id) as tf.DataId, shape, dtype};
}

function inputsOf(inputs: RemoteInputs): tf.NamedTensorInfoMap {
  if (Array.isArray(inputs)) return inputs.map(infoOf) as unknown as tf.NamedTensorInfoMap;
  const entries = Object.entries(inputs as Record<string, RemoteTensor | RemoteTensor[] | undefined>);
  return Object.fromEntries(
    entries.map(([name, t]) => [name, t === undefined ? undefined : Array.isArray(t) ? t.map(infoOf) : infoOf(t)]),
  ) as tf.NamedTensorInfoMap;
}

/** A result under its id: a kernel may give one of its inputs back. */
function resultOf({dataId, shape, dtype}: tf.TensorInfo): RemoteTensor {
  let id = ids.get(dataId);
  if (id === undefined || dataIds.get(id) !== dataId) {
    id = --made;
    note(id, dataId);
  }
  return {id, shape, dtype};
}

function run(request: Extract<Request, {op: 'run'}>): RemoteTensor | RemoteTensor[] {
  const {kernel, inputs, attrs, output} = request;
  const {kernelFunc} = tf.getKernel(kernel, NAME);
  const results = kernelFunc({inputs: inputsOf(inputs), attrs: attrs as tf.NamedAttrMap, backend: tf.backend()});
  if (output !== null) note(output, (results as tf.TensorInfo).dataId);
  return Array.isArray(results) ? results.map(resultOf) : resultOf(results);
}

async function read(id: number): Promise<tf.TypedArray> {
  const values = (await tf.backend().read(dataIds.get(id) as object)) as tf.TypedArray;
  // What was computed may be wrong, or the device lost: told before anyone uses it.
  await healthOf(asWebGPU(tf.backend())).settled();
  return values;
}

function free(id: number): void {
  const dataId = dataIds.get(id);
  dataIds.delete(id);
  if (dataId !== undefined) tf.backend().disposeData(dataId, true);
}

function write({tensor, values}: Extract<Request, {op: 'write'}>): void {
  note(tensor.id, tf.backend().write(values, tensor.shape, tensor.dtype));
}

async function serve(request: Request): Promise<void> {
  const {seq} = request;
  try {
    if (seq !== 0 && failure !== null) {
      const told = failure;
      failure = null;
      return say({seq, failure: told});
    }
    switch (request.op) {
      case 'write':
        return write(request);
      case 'free':
        return free(request.id);
      case 'run': {
        const results = run(request);
        if (seq !== 0) say({seq, results});
        return;
      }
      case 'read': {
        const values = await read(request.id);
        // A copy: the backend may keep what it gave.
        const own = values.slice();
        return say({seq, values: own}, [own.buffer as ArrayBuffer]);
      }
    }
  } catch (error) {
    if (seq === 0) failure ??= named(error);
    else say({seq, failure: named(error)});
  }
}

async function start(): Promise<Ready> {
  const empty = {kernels: [], limits: {}, adapterInfo: {}};
  try {
    // Not a literal: it is looked for where the program has it, and not bundled.
    const name = '@tensorflow/tfjs-backend-webgpu';
    await import(name);
    await createWebGPUBackend({...options, name: NAME});
    await tf.setBackend(NAME);
    const {device, adapterInfo} = tf.backend() as unknown as {device: GPUDevice & {adapterInfo?: GPUAdapterInfo}; adapterInfo?: object};
    const {
      vendor = '',
      architecture = '',
      description = '',
      isFallbackAdapter = false,
    } = (device.adapterInfo ?? adapterInfo ?? {}) as Partial<GPUAdapterInfo>;
    return {
      kernels: tf.getKernelsForBackend(NAME).map(({kernelName}) => kernelName),
      limits: Object.fromEntries(GPU_LIMITS.map((limit) => [limit, device.limits[limit]])),
      adapterInfo: {vendor, architecture, description, isFallbackAdapter},
    };
  } catch (error) {
    return {...empty, failure: named(error)};
  }
}

say(await start());
port.on('message', (request: Request) => void serve(request));
