/** Which kernel a product gets on a device, and why: for the support matrix, for tests and for curious users. */
import {ArgumentError, DeviceError} from '../../src/errors.js';
import {checkLayout} from '../check_layout.js';
import {chooseWebGPU, type WebGPUChoice, type WebGPUVariant} from '../choose.js';
import {sectionsOf, type WeightLayout} from '../layout.js';
import {findWebGPU, profileOf, type WebGPUBackendLike} from './backend.js';
import {choiceFor} from './matmul.js';
import {countParts} from './resident.js';

export interface WebGPUExplanation extends WebGPUChoice {
  /** Dispatches that the weight is split into, so that each binds no more than the device's limit. */
  readonly parts: number;
}

/**
 * A product of `rows` rows of x with a weight of this layout, on a registered and started webgpu backend.
 * Throws ArgumentError for what is no layout or no number of rows, DeviceError where there is no such backend.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 32, outDim: 2, quantizationEncoding: 'Q4_0'});
 * if (tf.getBackend() === 'webgpu') console.log(tfl.explainWebGPU(layer.weight.layout, 1).reason);
 * ```
 */
export function explainWebGPU(layout: WeightLayout, rows: number, backendName = 'webgpu'): WebGPUExplanation {
  const where = 'explainWebGPU';
  checkLayout(`${where}: layout`, layout);
  if (!(Number.isInteger(rows) && rows >= 0)) {
    throw new ArgumentError({where: `${where}: rows`, expected: 'a number of rows of x', received: rows});
  }
  const backend = findWebGPU(backendName);
  if (backend === null) {
    throw new DeviceError({
      where: `${where}: '${backendName}'`,
      expected: 'a webgpu backend of this thread, registered and started',
      received: 'none',
      remedy: "Start it first: await tf.setBackend('webgpu'), or createWebGPUBackend().",
    });
  }
  const choice = choiceFor(layout, rows, layout.outDim, profileOf(backend));
  const parts = countParts(backend, layout, sectionsOf(layout).length * 4, 0, layout.outDim);
  const reason = parts === 1 ? choice.reason : `${choice.reason}; the weight is over the binding limit and is split into ${parts} parts`;
  return {variant: choice.variant, reason, parts};
}

/** The kernel for one row of an ordinary weight. */
export function choiceForDevice(backend: WebGPUBackendLike): WebGPUVariant {
  return chooseWebGPU({rows: 1, outDim: 4096, inDim: 4096, chunked: true}, profileOf(backend)).variant;
}
