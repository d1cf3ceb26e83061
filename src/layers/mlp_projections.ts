/** How an MLP makes its projections. */
import * as tf from '@tensorflow/tfjs';
import {ArgumentError} from '../errors.js';
import {registeredClass} from './config.js';
import type {Linear} from './linear.js';
import type {LinearClass} from './mlp_config.js';

/** A class of layers, or the one of a registered name. Throws ArgumentError, UnsupportedError. */
export function classOf(linearCls: LinearClass | string, where: string): LinearClass {
  if (typeof linearCls === 'string') return registeredClass(linearCls, where) as LinearClass;
  if (typeof linearCls === 'function' && linearCls.prototype instanceof tf.layers.Layer) return linearCls;
  throw new ArgumentError({
    where: `${where}: linearCls`,
    expected: 'a class of layers, or its registered name',
    received: linearCls,
  });
}

/** What `make` makes; where it throws, the layers that it kept until then are freed. */
export function allOrNone<T>(make: (keep: (layer: Linear) => Linear) => T): T {
  const made: Linear[] = [];
  try {
    return make((layer) => {
      made.push(layer);
      return layer;
    });
  } catch (error) {
    for (const layer of made.reverse()) layer.dispose();
    throw error;
  }
}
