/** Pipelines compiled and weights uploaded before they are needed. */
import * as tf from '@tensorflow/tfjs';
import {checkOptions} from '../../src/arguments.js';
import type {Activation} from '../activation.js';
import {checkWeight} from '../contract.js';
import {holderOf} from '../holder.js';
import type {QuantizedWeight} from '../quantized_weight.js';
import type {WebglBackend} from '../webgl/backend.js';
import {warmUpWebgl} from '../webgl/warm_up.js';
import {findWebGPU, profileOf, type WebGPUBackendLike} from './backend.js';
import {gatedShaderOf, rmsShaderOf} from './fused.js';
import {fusionOf} from './fused_matmul.js';
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
  /**
   * What will surround products (`forwardAround`, `ops.fusedMatMul`): each entry a combination of norm, gate and residual, for webgpu, which does them
   * in the product's own kernel where it can. Default [{}]: nothing.
   */
  around?: readonly {readonly norm?: boolean; readonly gate?: Activation | null; readonly residual?: boolean}[];
  /** Also compiles unpacking, of all rows and of chosen ones (an embedding). Default false. */
  unpack?: boolean;
  /** Default: the current backend. */
  backendName?: string;
}

const OPTIONS = ['rows', 'activations', 'bias', 'around', 'unpack', 'backendName'];

/**
 * Uploads the weights and compiles the kernels of their products, on webgpu and webgl: elsewhere nothing is compiled. webgpu compiles off the main
 * thread; webgl compiles on it, a kernel a turn.
 * Throws ArgumentError for what is no packed weight, DeviceError where the device is lost, out of memory, refuses a shader or computes wrongly.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 32, outDim: 2, quantizationEncoding: 'Q4_0'});
 * // The first forward then compiles nothing.
 * await tfl.warmUp(layer.weight);
 * ```
 */
export async function warmUp(weights: QuantizedWeight | readonly QuantizedWeight[], options: WarmUpOptions = {}): Promise<void> {
  checkOptions('warmUp', options, OPTIONS);
  const name = options.backendName ?? tf.getBackend();
  const all = Array.isArray(weights) ? (weights as readonly QuantizedWeight[]) : [weights as QuantizedWeight];
  for (const weight of all) checkWeight(weight, 'warmUp');
  if (name === 'webgl') {
    const webgl = tf.findBackend(name) as unknown as WebglBackend | null | undefined;
    return webgl ? warmUpWebgl(webgl, all, options) : undefined;
  }
  const backend = findWebGPU(name);
  if (backend === null) return;
  const shaders = new Map<string, Shader>();
  const add = (shader: Shader) => shaders.set(shader.code, shader);
  for (const weight of all) {
    for (const rows of options.rows ?? [1]) for (const shader of productShaders(backend, weight, rows, options)) add(shader);
    if (options.unpack) for (const chosen of [false, true]) add(unpackPlan(weight.layout, chosen).shader);
    if (backend.tensorMap.has(weight.words.dataId)) wordsBuffer(backend, weight.words);
  }
  await Promise.all([...shaders.values()].map((shader) => compileAhead(backend, shader)));
  await healthOf(backend).settled();
}

/** What products of `rows` rows take, with each activation and surroundings. */
function productShaders(backend: WebGPUBackendLike, weight: QuantizedWeight, rows: number, options: WarmUpOptions): Shader[] {
  const {layout, rowStart, rowEnd} = weight;
  const profile = profileOf(backend);
  const {variant} = choiceFor(layout, rows, weight.outDim, profile);
  verifyOnce(backend, variant);
  const shaders: Shader[] = [];
  for (const activation of options.activations ?? [null]) {
    for (const {norm = false, gate = null, residual = false} of options.around ?? [{}]) {
      const own = fusionOf(backend, variant, rows, {layout, rowStart, rowEnd, activation, gate});
      const finish = {bias: options.bias ?? false, activation, gate: own.gate, norm: norm && own.norm, residual: residual && own.last};
      const plan = planFor(layout, variant, profile, rows, finish);
      shaders.push(plan.shader);
      if (plan.prepare !== null) shaders.push(plan.prepare.shader);
      if (norm && !own.norm) shaders.push(rmsShaderOf(layout.inDim, profile).shader);
      if (gate !== null && !own.last) shaders.push(gatedShaderOf(gate).shader);
    }
  }
  return shaders;
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
  const backend = findWebGPU(backendName);
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
