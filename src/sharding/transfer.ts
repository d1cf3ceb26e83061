/** Tensors from one backend to another: read there, made here. */
import * as tf from '@tensorflow/tfjs';
import {recordsGradients} from '../../kernels/gradients.js';
import {backendOf, holderNameOf} from '../../kernels/holder.js';
import {DeviceRef, onDevice} from '../device.js';
import {DeviceError} from '../errors.js';

/** Name of the backend that holds a tensor's data now. */
export function backendNameOf(t: tf.Tensor): string {
  return holderNameOf(t) ?? tf.getBackend();
}

/** Is there an instance of this backend? One that never started cannot be lost. */
export function isStarted(backendName: string): boolean {
  const instance = backendOf(backendName);
  return instance !== undefined && !(instance instanceof Promise);
}

/** false: results can only be awaited, as a GPU device answers between two tasks of its thread. */
export function readsSynchronously(backendName: string): boolean {
  if (!backendName.startsWith('webgpu')) return true;
  // A device in a thread of its own.
  return (backendOf(backendName) as {isSynchronous?: boolean} | undefined)?.isSynchronous === true;
}

/** Throws DeviceError where a copy to another backend would have to wait for the device that holds `t`. */
export function checkReadable(t: tf.Tensor, backendName: string): void {
  const from = backendNameOf(t);
  if (from === backendName || readsSynchronously(from)) return;
  throw new DeviceError({
    where: `device '${from}'`,
    expected: 'a device that can be read synchronously',
    received: `a tensor to be copied to '${backendName}' at once`,
    remedy: "Use 'await layer.forwardAsync(x)'.",
  });
}

/**
 * A tensor with the same numbers on a backend; the caller disposes it. No copy where they are there already. The gradient goes back through it.
 * Throws DeviceError where the source can only be read asynchronously.
 */
export function copyTo(t: tf.Tensor, backendName: string): tf.Tensor {
  const from = backendNameOf(t);
  if (from === backendName) return sameTensor(t);
  checkReadable(t, backendName);
  const copy = () => made(t, t.dataSync(), backendName);
  if (!recordsGradients()) return copy();
  return tf.customGrad(() => ({value: copy(), gradFunc: (dy: tf.Tensor) => dy}))(t) as tf.Tensor;
}

/** Another handle on a tensor, where it lies: tf.clone alone would take it to the current backend. */
export function sameTensor(t: tf.Tensor): tf.Tensor {
  return onDevice(new DeviceRef(backendNameOf(t)), () => tf.clone(t));
}

/** As `copyTo`, for every device. */
export async function copyToAsync(t: tf.Tensor, backendName: string): Promise<tf.Tensor> {
  if (backendNameOf(t) === backendName) return copyTo(t, backendName);
  return made(t, await t.data(), backendName);
}

function made(t: tf.Tensor, values: tf.TypedArray, backendName: string): tf.Tensor {
  return onDevice(new DeviceRef(backendName), () => tf.tensor(values, t.shape, t.dtype));
}
