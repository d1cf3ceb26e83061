/** Specs of the wasm backend alone: hooks of the suite that calls these. */
import * as tf from '@tensorflow/tfjs';
import {stopThreads} from '../../src/index.js';
import {type Variants, variantsOf} from './variants.js';

/** wasm for every spec, by the kernel chosen unless it forces another. */
export function onWasm(): Variants {
  const variants = variantsOf('wasm');
  beforeEach(async () => {
    await tf.setBackend('wasm');
  });
  afterEach(() => variants.force(null));
  afterAll(async () => {
    await tf.setBackend('cpu');
  });
  return variants;
}

/** wasm for all specs, which may start threads. */
export function onWasmWithThreads(): void {
  let before = '';
  beforeAll(async () => {
    before = tf.getBackend();
    await tf.setBackend('wasm');
  });
  afterAll(async () => {
    await stopThreads();
    await tf.setBackend(before);
  });
}
