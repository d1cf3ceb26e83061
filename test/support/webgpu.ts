/** tf.js's webgpu backend for specs: the browser's own, or Dawn in Node (npm `webgpu`). */
import * as tf from '@tensorflow/tfjs';
import {IN_BROWSER} from './environment.js';

interface Dawn {
  create(options: string[]): GPU;
  globals: Record<string, unknown>;
}

let started: Promise<void> | null = null;

async function start(): Promise<void> {
  if (!IN_BROWSER) {
    // Not a literal: a page's bundle must not hold Node's module.
    const name = 'webgpu';
    const dawn = (await import(name)) as Dawn;
    Object.assign(globalThis, dawn.globals);
    // Referenced from here on: Dawn aborts the process where its instance is collected.
    const navigator = {...(globalThis.navigator ?? {}), gpu: dawn.create([])};
    Object.defineProperty(globalThis, 'navigator', {value: navigator, configurable: true});
  }
  await import('@tensorflow/tfjs-backend-webgpu');
}

/** Registers tf.js's 'webgpu' backend, once. */
export function registerWebGPU(): Promise<void> {
  started ??= start();
  return started;
}

/** Sets the backend 'webgpu', and throws where there is none. */
export async function useWebGPU(): Promise<void> {
  await registerWebGPU();
  if (!(await tf.setBackend('webgpu'))) throw new Error("The backend 'webgpu' did not start.");
}
