/** Packed words on the device: uploaded in chunks, and bound whole or by rows. */
import type {TensorInfo} from '@tensorflow/tfjs';
import {DeviceError} from '../../src/errors.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {profileOf, type WebGPUBackendLike} from './backend.js';
import {healthOf} from './health.js';
import type {Binding} from './record.js';

/** Bytes written to the device at a time: the staging memory that an upload takes beside the weight itself. */
export const UPLOAD_CHUNK = 8 << 20;

const STORAGE_COPIES = 0x80 | 0x4 | 0x8; // GPUBufferUsage.STORAGE | COPY_SRC | COPY_DST, as tf.js's own tensors

const given = new WeakSet<GPUBuffer>();
const wrapped = new WeakSet<object>();

/** tf.js keeps the buffers of disposed tensors for later ones of the same size. A weight's goes back to the device: it may be all that fits. */
function giveBack(backend: WebGPUBackendLike, buffer: GPUBuffer): void {
  given.add(buffer);
  const {bufferManager} = backend;
  if (wrapped.has(bufferManager)) return;
  wrapped.add(bufferManager);
  const release = bufferManager.releaseBuffer.bind(bufferManager);
  bufferManager.releaseBuffer = (released, reuse = !given.has(released)) => release(released, reuse);
}

/** The buffer of a weight's words, uploaded if they are still on the host; the host's copy is let go, as tf.js does. */
export function wordsBuffer(backend: WebGPUBackendLike, info: TensorInfo): GPUBuffer {
  const data = backend.tensorMap.get(info.dataId);
  if (data.resource == null && data.values != null) {
    const {device} = backend;
    const words = data.values as Int32Array;
    device.pushErrorScope('out-of-memory');
    const buffer = backend.bufferManager.acquireBuffer(words.byteLength, STORAGE_COPIES);
    giveBack(backend, buffer);
    healthOf(backend).check(device.popErrorScope().then((error) => refuseMemory(backend, words.byteLength, error)));
    for (let at = 0; at < words.byteLength; at += UPLOAD_CHUNK) {
      const size = Math.min(UPLOAD_CHUNK, words.byteLength - at);
      device.queue.writeBuffer(buffer, at, words.buffer as ArrayBuffer, words.byteOffset + at, size);
    }
    data.resource = buffer;
    data.values = null;
  }
  backend.uploadToGPU(info.dataId);
  return backend.tensorMap.get(info.dataId).resource as GPUBuffer;
}

function refuseMemory(backend: WebGPUBackendLike, bytes: number, error: GPUError | null): void {
  if (error === null) return;
  healthOf(backend).fail(
    new DeviceError({
      where: 'webgpu device: upload of a packed weight',
      expected: `${bytes} bytes of device memory`,
      received: `out of memory: ${error.message}`,
      remedy: 'Dispose tensors or load a smaller model, on a new device.',
    }),
  );
}

/** Throws DeviceError where a tensor that is bound whole is over the device's limit. */
export function checkBinding(backend: WebGPUBackendLike, what: string, bytes: number): void {
  const limit = profileOf(backend).limits.maxStorageBufferBindingSize;
  if (bytes <= limit) return;
  throw new DeviceError({
    where: `webgpu binding of ${what}`,
    expected: `at most ${limit} bytes, the device's maxStorageBufferBindingSize`,
    received: `${bytes}`,
    remedy: 'Call it on fewer rows at a time, or create the backend with larger limits (createWebGPUBackend).',
  });
}

/** A range of rows of a weight as two bindings: the codes, and everything else. */
export interface Part {
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly codes: Binding;
  readonly words: Binding;
  /** What the shader subtracts from a word's place in the tensor. */
  readonly bases: {readonly codes_base: number; readonly words_base: number};
}

/** Rows in a part are a multiple of this, so that outputs of parts begin where a binding may begin. */
const ROW_STEP = 64;

/** Rows of a part, 0 where the weight and its output are bound whole. */
function rowsOfPart(backend: WebGPUBackendLike, layout: WeightLayout, bytes: number, rows: number, rowBytes: number): number {
  const {maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: align} = profileOf(backend).limits;
  if (bytes <= limit && rows * rowBytes <= limit) return 0;
  const {codes, rowWords} = sectionsOf(layout);
  const rest = bytes - codes.length * 4 + align;
  const widest = Math.max(1, rowWords * 4, rowBytes);
  const step = Math.floor((limit - align) / widest / ROW_STEP) * ROW_STEP;
  if (step > 0 && rest <= limit) return step;
  throw new DeviceError({
    where: `webgpu binding of a [${layout.outDim}, ${layout.inDim}] weight`,
    expected: `${ROW_STEP} rows of at most ${limit} bytes, the device's maxStorageBufferBindingSize, and scales of no more`,
    received: `rows of ${widest} bytes and ${rest} bytes of scales`,
    remedy: 'Create the backend with larger limits (createWebGPUBackend), or shard the layer.',
  });
}

/** How many parts `partsOfRows` makes. */
export function countParts(backend: WebGPUBackendLike, layout: WeightLayout, bytes: number, rowStart: number, rowEnd: number): number {
  const step = rowsOfPart(backend, layout, bytes, rowEnd - rowStart, 0);
  return step === 0 ? 1 : Math.ceil((rowEnd - rowStart) / step);
}

/**
 * Rows [rowStart, rowEnd) in as few parts as the binding limit allows: one, in all but the largest weights.
 * `rowBytes` is what one row takes in the output, 0 where the output is bound whole.
 * Throws DeviceError where even one step of rows is over the limit.
 */
export function partsOfRows(
  backend: WebGPUBackendLike,
  layout: WeightLayout,
  buffer: GPUBuffer,
  rowStart: number,
  rowEnd: number,
  rowBytes = 0,
): Part[] {
  const step = rowsOfPart(backend, layout, buffer.size, rowEnd - rowStart, rowBytes);
  if (step === 0) {
    const whole = {buffer};
    return [{rowStart, rowEnd, codes: whole, words: whole, bases: {codes_base: 0, words_base: 0}}];
  }
  const align = profileOf(backend).limits.minStorageBufferOffsetAlignment / 4;
  const {codes, rowWords, length} = sectionsOf(layout);
  const range = (from: number, to: number) => {
    const start = Math.floor(from / align) * align;
    return {base: start, binding: {buffer, offset: start * 4, size: Math.max(4, Math.min(to, length) - start) * 4}};
  };
  // The rest begins at the codes' end; a weight of codes alone still binds something.
  const rest = range(Math.min(codes.length, length - 4), length);
  const parts: Part[] = [];
  for (let begin = rowStart; begin < rowEnd; begin += step) {
    const end = Math.min(rowEnd, begin + step);
    const own = range(begin * rowWords, end * rowWords);
    parts.push({
      rowStart: begin,
      rowEnd: end,
      codes: own.binding,
      words: rest.binding,
      bases: {codes_base: own.base, words_base: rest.base},
    });
  }
  return parts;
}
