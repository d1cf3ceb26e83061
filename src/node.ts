/**
 * tfjs-linear/node: the whole package, with kernels for tf.js's backend 'tensorflow' (tfjs-node or tfjs-node-gpu). Importing it takes the backend
 * that is registered, else imports @tensorflow/tfjs-node-gpu or @tensorflow/tfjs-node; it throws DeviceError where neither is installed and built.
 */
import {loadTensorflow, type TensorflowKernels} from '../kernels/tensorflow/load.js';

export * from './index.js';
export type {TensorflowKernels};

await loadTensorflow();

/**
 * How products are made on backend 'tensorflow' in this process, after setting the add-on's threads where a number is given.
 *
 * ```js
 * import {tensorflowKernels} from 'tfjs-linear/node';
 * console.log(await tensorflowKernels(2)); // {addOn: true, instructionSets: ['avx512vnni', ...], threads: 2, reason: ...}
 * ```
 */
export function tensorflowKernels(threads?: number): Promise<TensorflowKernels> {
  return loadTensorflow(threads);
}
