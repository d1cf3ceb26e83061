/**
 * tf.js's wasm backend on a memory that threads can share. In a cross-origin isolated page tf.js runs its threaded binary, whose memory is shared
 * already. Elsewhere (Node, and pages that gave tf.js one binary) its memory is not: the same binary is then started once more with its memory
 * declared shared, which is one bit of the file, and the backend goes on in the copy. Tensors keep their addresses and tf.js its accounts, and no
 * weight is held twice.
 */
import * as tf from '@tensorflow/tfjs';
import {findMemory, HAS_MAXIMUM, IS_SHARED, isShared, replaceHeap, type WasmBackend} from '../../kernels/wasm/module.js';
import {registeredBackends} from '../device.js';
import {DeviceError} from '../errors.js';
import {isStarted} from './transfer.js';

/** An Emscripten program of tf.js: `HEAPU8` is made anew whenever the memory grows. */
interface Started extends WasmBackend {
  wasm: WasmBackend['wasm'] & {HEAPU8: Uint8Array};
}

const BACKEND = 'wasm';

/** tf.js's wasm backend, started and on a shared memory. The current backend stays current. Throws DeviceError where it cannot be. */
export async function sharedWasmBackend(): Promise<WasmBackend> {
  const backend = await startedBackend();
  if (!isShared(findMemory(backend))) await share(backend);
  return backend;
}

async function startedBackend(): Promise<Started> {
  const registered = registeredBackends();
  if (!registered.includes(BACKEND)) {
    throw new DeviceError({
      where: 'startThreads',
      expected: "tf.js's wasm backend",
      received: `backends ${registered.join(', ')}`,
      remedy: "Import '@tensorflow/tfjs-backend-wasm' before.",
    });
  }
  if (!isStarted(BACKEND)) {
    const before = tf.getBackend() as string | undefined;
    const started = await tf.setBackend(BACKEND);
    if (before) await tf.setBackend(before);
    if (!started) {
      throw new DeviceError({
        where: 'startThreads',
        expected: "tf.js's wasm backend to start",
        received: 'one that does not',
        remedy: "In a page, call setWasmPaths() of '@tensorflow/tfjs-backend-wasm' before.",
      });
    }
  }
  return tf.findBackend(BACKEND) as unknown as Started;
}

async function share(backend: Started): Promise<void> {
  const other = await startAgain();
  if (!isShared(findMemory(other))) {
    throw new DeviceError({
      where: 'startThreads',
      expected: "a binary of tf.js's wasm backend that can be given shared memory",
      received: 'one that starts with a memory of its own kind',
      remedy: 'Use version 4.22 of @tensorflow/tfjs-backend-wasm.',
    });
  }
  // From here to the end nothing else runs: every number is in one memory or in the other.
  for (let missing = lacks(other, backend); missing > 0; missing = lacks(other, backend)) {
    // It grows by taking more than it has; who has what is overwritten below.
    if (other.wasm._malloc(missing) === 0) throw noRoom(missing);
  }
  other.wasm.HEAPU8.set(backend.wasm.HEAPU8);
  other.wasm.HEAPU8.fill(0, backend.wasm.HEAPU8.length);
  backend.wasm = other.wasm;
  replaceHeap(backend, null);
  // tf.js's kernels hold functions of the program that they were set up with.
  for (const kernel of tf.getKernelsForBackend(BACKEND)) kernel.setupFunc?.(backend as unknown as tf.KernelBackend);
}

const lacks = (a: Started, b: Started): number => b.wasm.HEAPU8.length - a.wasm.HEAPU8.length;

function noRoom(bytes: number): DeviceError {
  return new DeviceError({
    where: 'startThreads',
    expected: `room for another ${bytes} bytes`,
    received: 'no memory left',
    remedy: 'Start threads before the weights are loaded: memory is copied once.',
  });
}

/** Another instance from the backend's own factory, its memory declared shared. */
async function startAgain(): Promise<Started> {
  const {instantiate, instantiateStreaming} = WebAssembly;
  // What else starts in this while is let through as it is.
  const patched = async (source: BufferSource | WebAssembly.Module, imports?: WebAssembly.Imports) => {
    const module = source instanceof WebAssembly.Module ? null : await sharedModule(source);
    if (module === null) return instantiate(source as BufferSource, imports);
    return {module, instance: await instantiate(module, imports)};
  };
  Object.assign(WebAssembly, {
    instantiate: patched,
    instantiateStreaming: async (source: Response | Promise<Response>, imports?: WebAssembly.Imports) =>
      patched(await (await source).arrayBuffer(), imports),
  });
  try {
    return (await tf.findBackendFactory(BACKEND)()) as unknown as Started;
  } finally {
    Object.assign(WebAssembly, {instantiate, instantiateStreaming});
  }
}

/** tf.js's binary with its memory shared; null for any other. */
async function sharedModule(source: BufferSource): Promise<WebAssembly.Module | null> {
  const bytes = ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice()
    : new Uint8Array(source).slice();
  const at = memoryFlagsAt(bytes);
  if (at === null || bytes[at] !== HAS_MAXIMUM) return null;
  bytes[at] = HAS_MAXIMUM | IS_SHARED;
  if (!WebAssembly.validate(bytes)) return null;
  const module = await WebAssembly.compile(bytes);
  return WebAssembly.Module.exports(module).some(({name}) => name === OWN_EXPORT) ? module : null;
}

/** A function that only tf.js's binaries export. */
const OWN_EXPORT = 'init_with_threads_count';

const MEMORY_SECTION = 5;
const HEADER_BYTES = 8;

/** Where a module says what kind its own memory is; null where it has none or several. Source: WebAssembly core specification 5.5. */
function memoryFlagsAt(bytes: Uint8Array): number | null {
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const id = bytes[at++];
    let size = 0;
    for (let shift = 0, byte = 128; byte & 128; shift += 7) {
      byte = bytes[at++] as number;
      size |= (byte & 127) << shift;
    }
    if (id === MEMORY_SECTION) return bytes[at] === 1 ? at + 1 : null;
    at += size;
  }
  return null;
}
