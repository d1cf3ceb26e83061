/** Pipelines compiled and weights uploaded before they are needed. */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../activation.js';
import {holderOf} from '../holder.js';
import type {QuantizedWeight} from '../quantized_weight.js';
import type {WebglBackend} from '../webgl/backend.js';
import {warmUpWebgl} from '../webgl/warm_up.js';
import {asWebGPU, profileOf, type WebGPUBackendLike} from './backend.js';
import {healthOf} from './health.js';
import {verifyOnce} from './known_answer.js';
import {choiceFor} from './matmul.js';
import {planFor} from './plan.js';
import {compileAhead, type Shader} from './record.js';
import {wordsBuffer} from './resident.js';
import {unpackPlan} from './unpack.js';

export interface WarmUpOptions {
  /** Numbers of rows of x to be ready for. Default [1]. */
  rows?: readonly number[];
  /** Activations that will be fused. Default [null]. */
  activations?: readonly (Activation | null)[];
  /** Whether a bias will be fused. Default false. */
  bias?: boolean;
  /** Also compiles unpacking, of all rows and of chosen ones (an embedding). Default false. */
  unpack?: boolean;
  /** Default: the current backend. */
  backendName?: string;
}

/** Whether a backend is one of ours or tf.js's on WebGPU. */
function webGPUBackend(name: string): WebGPUBackendLike | null {
  const backend = name.split(':')[0] === 'webgpu' ? tf.findBackend(name) : null;
  // A device in another thread compiles there.
  return backend === null || backend === undefined || !('tensorMap' in backend) ? null : asWebGPU(backend);
}

/**
 * Uploads the weights and compiles the kernels of their products, on webgpu and webgl: elsewhere nothing is compiled. webgpu compiles off the main
 * thread; webgl compiles on it, a kernel a turn.
 * Throws DeviceError where the device is lost, out of memory, refuses a shader or computes wrongly.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 32, outDim: 2, quantizationEncoding: 'Q4_0'});
 * // The first forward then compiles nothing.
 * await tfl.warmUp(layer.weight);
 * ```
 */
export async function warmUp(weights: QuantizedWeight | readonly QuantizedWeight[], options: WarmUpOptions = {}): Promise<void> {
  const name = options.backendName ?? tf.getBackend();
  const all = Array.isArray(weights) ? (weights as readonly QuantizedWeight[]) : [weights as QuantizedWeight];
  if (name === 'webgl') {
    const webgl = tf.findBackend(name) as unknown as WebglBackend | null | undefined;
    return webgl ? warmUpWebgl(webgl, all, options) : undefined;
  }
  const backend = webGPUBackend(name);
  if (backend === null) return;
  const profile = profileOf(backend);
  const shaders = new Map<string, Shader>();
  const add = (shader: Shader) => shaders.set(shader.code, shader);
  for (const weight of all) {
    const {layout} = weight;
    for (const rows of options.rows ?? [1]) {
      const {variant} = choiceFor(layout, rows, weight.outDim, profile);
      verifyOnce(backend, variant);
      for (const activation of options.activations ?? [null]) {
        const plan = planFor(layout, variant, profile, rows, {bias: options.bias ?? false, activation});
        add(plan.shader);
        if (plan.prepare !== null) add(plan.prepare.shader);
      }
    }
    if (options.unpack) for (const chosen of [false, true]) add(unpackPlan(layout, chosen).shader);
    if (backend.tensorMap.has(weight.words.dataId)) wordsBuffer(backend, weight.words);
  }
  await Promise.all([...shaders.values()].map((shader) => compileAhead(backend, shader)));
  await healthOf(backend).settled();
}

/**
 * Resolves when everything given to a webgpu device so far has arrived: uploads, shaders, known answers.
 * Throws DeviceError where one of them failed. On other backends it resolves at once.
 *
 * ```js
 * await tfl.deviceReady();
 * ```
 */
export async function deviceReady(backendName: string = tf.getBackend()): Promise<void> {
  const backend = webGPUBackend(backendName);
  if (backend !== null) await healthOf(backend).settled();
}

/**
 * Uploads tensors of webgpu backends, in chunks, and resolves when they have arrived: from then on the host holds no copy.
 * Tensors of other backends stay as they are. Throws DeviceError where a device is lost or has no memory for one.
 */
export async function placeOnDevice(tensors: readonly tf.Tensor[]): Promise<void> {
  const touched = new Set<WebGPUBackendLike>();
  for (const t of tensors) {
    const backend = holderOf(t) as Partial<WebGPUBackendLike> | undefined;
    if (backend?.device === undefined || backend.tensorMap === undefined || backend.bufferManager === undefined || t.size === 0) continue;
    wordsBuffer(backend as WebGPUBackendLike, t);
    touched.add(backend as WebGPUBackendLike);
  }
  await Promise.all([...touched].map((backend) => healthOf(backend).settled()));
}
