/** The run of backend 'tensorflow': the backend and our add-on started, and a check that no spec leaves a handle of TensorFlow's behind. */
import * as tf from '@tensorflow/tfjs';
import {loadTensorflow} from '../../kernels/tensorflow/load.js';

interface Counting {
  getNumOfTFTensors(): number;
}

/** Handles of TensorFlow, those that tf.js does not know included. */
export function handles(): number {
  return (tf.engine().findBackend('tensorflow') as unknown as Counting).getNumOfTFTensors();
}

/** Loads the backend and has every spec counted. From here on `onEachBackend` means this backend. */
export async function startTensorflow(): Promise<void> {
  const {addOn, reason, threads, instructionSets} = await loadTensorflow();
  console.log(`tensorflow: ${addOn ? `add-on, ${threads} threads, ${instructionSets.join(', ')}` : `no add-on (${reason})`}`);
  (globalThis as {tflBackends?: string[]}).tflBackends = ['tensorflow'];
  let before = 0;
  beforeEach(() => {
    before = handles();
  });
  afterEach(() => {
    const grown = handles() - before;
    if (grown > 0) fail(`The spec left ${grown} of TensorFlow's handles behind.`);
  });
}
