/** Chooses and starts a tf.js backend. */
import * as tf from '@tensorflow/tfjs';
import {ArgumentError, DeviceError, didYouMean, ShardManager, startThreads} from 'tfjs-linear';
import {provideDawn} from './dawn.js';

/** What registers each backend; those that `@tensorflow/tfjs` brings need nothing. */
const REGISTER: Readonly<Record<string, () => Promise<unknown>>> = {
  wasm: registerWasm,
  cpu: async () => undefined,
  webgl: async () => undefined,
  webgpu: registerWebgpu,
  tensorflow: () => import('tfjs-linear/node'),
};

async function registerWasm(): Promise<void> {
  const {setThreadsCount} = await import('@tensorflow/tfjs-backend-wasm');
  // tf.js's own threads spin after each of its products, and would take the cores from ours.
  setThreadsCount(1);
}

async function registerWebgpu(): Promise<unknown> {
  await provideDawn();
  const adapter = await globalThis.navigator?.gpu?.requestAdapter();
  if (adapter === undefined || adapter === null) {
    throw new DeviceError({
      where: "backend 'webgpu'",
      expected: 'WebGPU',
      received: adapter === undefined ? 'no navigator.gpu' : 'no adapter: WebGPU is here, but no GPU that it may use',
      why: 'A browser needs a secure page (https or localhost) and a GPU that it trusts; Node a Vulkan, Metal or Direct3D 12 driver.',
      remedy: "Choose backend 'wasm', or another browser.",
    });
  }
  return import('@tensorflow/tfjs-backend-webgpu');
}

const BACKEND_NAMES = Object.keys(REGISTER);

/**
 * Makes a backend current; without a name wasm where it loads, else cpu.
 * @returns its name
 * Throws ArgumentError for an unknown name, DeviceError for a backend that does not start here or that has no kernels of ours.
 */
export async function startBackend(name?: string): Promise<string> {
  if (name === undefined) return startBackend('wasm').catch(() => startBackend('cpu'));
  if (!(name in REGISTER)) {
    throw new ArgumentError({
      where: 'backend',
      expected: `one of ${BACKEND_NAMES.join(', ')}`,
      received: `'${name}'.${didYouMean(name, BACKEND_NAMES)}`,
    });
  }
  await REGISTER[name]?.();
  if (tf.engine().registryFactory[name] === undefined) {
    throw new DeviceError({
      where: `backend '${name}'`,
      expected: 'a backend that tf.js has here',
      received: 'none of that name',
      ...(name === 'webgl'
        ? {why: 'WebGL needs a browser.', remedy: 'npm run demo:page serves the chat as a page; in Node use wasm or webgpu.'}
        : {}),
    });
  }
  const started = await tf.setBackend(name);
  await tf.ready();
  if (!started) {
    throw new DeviceError({where: `backend '${name}'`, expected: 'a backend that starts here', received: 'one that does not'});
  }
  if (tf.getKernel('QuantizedMatMul', name) === undefined) {
    throw new DeviceError({where: `backend '${name}'`, expected: 'a backend with kernels of tfjs-linear', received: 'one without'});
  }
  return name;
}

/**
 * Starts several devices and makes one current: 'webgpu:0', 'webgpu:1' are devices of their own, 'worker:0' a thread.
 * @returns what is worth knowing of them, in sentences
 * Throws as `startBackend`.
 */
export async function startDevices(names: readonly string[], current: string): Promise<readonly string[]> {
  const plain = names.map((name) => (/^worker:\d+$/.test(name) ? 'wasm' : name.replace(/^webgpu:\d+$/, 'webgpu')));
  const unknown = plain.findIndex((name) => !(name in REGISTER));
  if (unknown >= 0) {
    throw new ArgumentError({
      where: 'devices',
      expected: `names among ${BACKEND_NAMES.join(', ')}, webgpu:0, worker:0 ...`,
      received: `'${names[unknown]}'.${didYouMean(names[unknown] as string, BACKEND_NAMES)}`,
    });
  }
  // In Node each webgpu device is opened in a thread, which imports what it needs.
  const own = typeof process === 'undefined' ? plain : plain.filter((name) => name !== 'webgpu');
  for (const name of new Set(own)) await REGISTER[name]?.();
  const manager = await ShardManager.create({devices: names});
  await tf.setBackend(current);
  await tf.ready();
  return manager.report().notes;
}

/**
 * Threads for a model on these backends; `threads` undefined: as many as there are cores, at most 4, where memory can be shared. Best before the
 * weights are loaded.
 * @returns their number
 * Throws ArgumentError for several threads without wasm, and as `startThreads` where a number is given.
 */
export async function startThreadsOn(backends: readonly string[], threads?: number): Promise<number> {
  if (!backends.includes('wasm')) {
    if (threads === undefined || threads === 1) return 1;
    throw new ArgumentError({where: 'threads', expected: "1, or backend 'wasm'", received: `${threads} with ${backends.join(', ')}`});
  }
  if (threads !== undefined) return startThreads(threads);
  return startThreads().catch((error) => {
    if (error instanceof DeviceError) return 1;
    throw error;
  });
}
