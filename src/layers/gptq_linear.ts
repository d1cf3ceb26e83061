/** GPTQLinear: a Linear whose weight came out of GPTQ. */
import * as tf from '@tensorflow/tfjs';
import {ArgumentError} from '../errors.js';
import {Linear, type LinearConfig, type LinearInit} from './linear.js';

export interface GPTQLinearConfig extends LinearConfig {}

/**
 * A linear layer over a GPTQ weight: any width, group size, zero point and act-order that the checkpoint has; bias allowed.
 * Source: MAX `max.nn.linear.GPTQLinear`. Differs: not only 4 bits, groups of 128 and sym; zero points are read; f32 scales and output.
 */
export class GPTQLinear extends Linear {
  static override className = 'TflGPTQLinear';

  constructor(config: GPTQLinearConfig, init: LinearInit = {}) {
    if ((config.layout ?? null) === null && (config.quantizationEncoding ?? null) === null) {
      throw new ArgumentError({
        where: config.name ?? 'GPTQLinear',
        expected: 'a layout',
        received: 'none',
        remedy: 'Load the layer with openCheckpoint(...).linear(module).',
      });
    }
    super(config, init);
  }
}

tf.serialization.registerClass(GPTQLinear as unknown as tf.serialization.SerializableConstructor<GPTQLinear>);
