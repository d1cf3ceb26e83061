/** A weight's words as a float32 handle, and on a GPU their one home. */
import type {TensorInfo} from '@tensorflow/tfjs';
import {DTYPE, type Handle, type NodeBackend, type NodeEntry} from '../backend.js';
import type {Ops} from './ops.js';

/** Entries whose handle holds the bits as float32. */
const bitsOnDevice = new WeakSet<NodeEntry>();

/**
 * The words [L] as float32 numbers of the same bits. Parts are cut while typed so and bitcast afterwards: TensorFlow slices and reshapes int32 on
 * the host even where a GPU holds it. A bitcast shares the buffer.
 */
export function wordsAsFloats(ops: Ops, words: TensorInfo, onDevice: boolean): Handle {
  if (onDevice) keepOnDevice(ops.backend, words);
  const entry = ops.backend.tensorMap.get(words.dataId);
  if (bitsOnDevice.has(entry)) return {id: entry.id, shape: words.shape, dtype: DTYPE.float32};
  const [id] = ops.backend.getInputTensorIds([words]) as [number];
  return ops.bitcast({id, shape: words.shape, dtype: entry.dtype}, DTYPE.float32);
}

/**
 * Moves the words to the device, where the node backend puts float32 but never int32, and keeps no other copy. tf.js still sees int32 values,
 * read back when asked for; a stock op that takes the words brings them back to the host for good.
 */
function keepOnDevice(backend: NodeBackend, words: TensorInfo): void {
  const entry = backend.tensorMap.get(words.dataId);
  if (entry.dtype !== DTYPE.int32 || bitsOnDevice.has(entry)) return;
  const values = backend.readSync(words.dataId);
  const onHost = entry.values === null ? entry.id : null;
  const id = backend.binding.createTensor(words.shape, DTYPE.float32, new Float32Array(values.buffer, values.byteOffset, values.length));
  if (onHost !== null) backend.binding.deleteTensor(onHost);
  entry.id = id;
  bitsOnDevice.add(entry);
  Object.defineProperty(entry, 'values', {
    configurable: true,
    enumerable: true,
    get: () => {
      const bits = backend.binding.tensorDataSync(id);
      return new Int32Array(bits.buffer, bits.byteOffset, bits.length);
    },
    // The backend has replaced the handle by one of its own and takes the values for uploaded.
    set: (after: null) => {
      backend.binding.deleteTensor(id);
      bitsOnDevice.delete(entry);
      Object.defineProperty(entry, 'values', {configurable: true, enumerable: true, writable: true, value: after});
    },
  });
}
