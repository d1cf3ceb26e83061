/** fit() of a layer of ours by itself. */
import type * as tf from '@tensorflow/tfjs';
import {UnsupportedError} from '../errors.js';

/** Throws UnsupportedError where nothing trains; tf.js would say that none of 0 variables is trainable. */
export function refuseFrozen(layer: tf.LayersModel): void {
  if (layer.trainableWeights.length > 0) return;
  throw new UnsupportedError({
    where: `${layer.name}: fit`,
    expected: 'something that trains: float32 weights, or a bias',
    received: layer.trainable ? 'packed weights alone, which are frozen' : 'a layer with trainable = false',
    why: 'Codes have no gradients.',
    remedy: layer.trainable
      ? 'Train a float32 Linear and pack it with quantizeModel, or train layers around this one.'
      : 'Set trainable to true.',
  });
}
