/** What this machine has: backends by name, their limits, and which of them are one and the same chip. */
import * as tf from '@tensorflow/tfjs';
import {registeredBackends} from '../device.js';
import {isStarted, readsSynchronously} from './transfer.js';

/** A GPU as its driver describes it. */
export interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** Shaders run on a CPU. null where it is not said. */
  readonly isFallback: boolean | null;
}

export interface DeviceInfo {
  /** Name for DeviceRef. */
  readonly name: string;
  /** The name without a number: 'webgpu' of 'webgpu:1'. */
  readonly backend: string;
  /** A backend that has not started has no limits and adapter yet. */
  readonly isStarted: boolean;
  /** Whether results can be read without awaiting. */
  readonly isSynchronous: boolean;
  /** What the backend says of itself: buffer sizes in bytes, texture sizes in texels. */
  readonly limits: Readonly<Record<string, number>>;
  readonly adapter: AdapterInfo | null;
  /** Other names for the same physical device. Two cards of one model that describe themselves alike cannot be told apart. */
  readonly samePhysicalDeviceAs: readonly string[];
  /** Bytes it can hold, where that is known. */
  readonly memoryBytes: number | null;
}

interface GPUBackend {
  readonly device?: GPUDevice & {readonly adapterInfo?: GPUAdapterInfo};
  readonly adapterInfo?: Partial<GPUAdapterInfo>;
  readonly gpgpu?: {readonly gl: WebGL2RenderingContext};
}

/** A wasm heap's addresses are 32 bits. */
const WASM_BYTES = 2 ** 32;

export const GPU_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const;

/**
 * Every registered backend.
 *
 * ```js
 * tfl.listDevices().map((device) => device.name).includes('cpu'); // true
 * ```
 */
export function listDevices(): DeviceInfo[] {
  const found = registeredBackends().map((name) => describe(name));
  const keys = found.map(physicalKey);
  return found.map((info, i) => ({
    ...info,
    samePhysicalDeviceAs: found.flatMap(({name}, j) => (j !== i && keys[i] !== null && keys[j] === keys[i] ? [name] : [])),
  }));
}

function describe(name: string): DeviceInfo {
  const backend = name.replace(/:.*$/, '');
  const started = isStarted(name);
  const instance = started ? (tf.engine().registry[name] as unknown as GPUBackend) : null;
  const {limits, adapter} = instance === null ? {limits: {}, adapter: null} : gpuFacts(instance);
  return {
    name,
    backend,
    isStarted: started,
    isSynchronous: readsSynchronously(name),
    limits,
    adapter,
    samePhysicalDeviceAs: [],
    memoryBytes: memoryOf(backend, limits),
  };
}

function gpuFacts({device, adapterInfo, gpgpu}: GPUBackend): {limits: Record<string, number>; adapter: AdapterInfo | null} {
  if (device !== undefined) {
    const info: Partial<GPUAdapterInfo> = device.adapterInfo ?? adapterInfo ?? {};
    const {vendor = '', architecture = '', description = '', isFallbackAdapter} = info;
    return {
      limits: Object.fromEntries(GPU_LIMITS.map((name) => [name, device.limits[name]])),
      adapter: {vendor, architecture, description, isFallback: isFallbackAdapter ?? null},
    };
  }
  if (gpgpu === undefined) return {limits: {}, adapter: null};
  const {gl} = gpgpu;
  const names = gl.getExtension('WEBGL_debug_renderer_info');
  const text = (unmasked: number | undefined, plain: number) => String(gl.getParameter(unmasked ?? plain) ?? '');
  return {
    limits: {maxTextureSize: gl.getParameter(gl.MAX_TEXTURE_SIZE) as number},
    adapter: {
      vendor: text(names?.UNMASKED_VENDOR_WEBGL, gl.VENDOR),
      architecture: '',
      description: text(names?.UNMASKED_RENDERER_WEBGL, gl.RENDERER),
      isFallback: null,
    },
  };
}

/** Equal for names that are one chip; null where nothing is known. */
function physicalKey({backend, adapter}: DeviceInfo): string | null {
  if (backend === 'cpu' || backend === 'wasm' || backend === 'worker') return 'host';
  if (adapter === null) return null;
  return [backend, adapter.vendor, adapter.architecture, adapter.description].join('|');
}

/** A GPU says only how large one buffer may be. */
function memoryOf(backend: string, limits: Readonly<Record<string, number>>): number | null {
  const host = hostBytes();
  if (backend === 'wasm' || backend === 'worker') return host === null ? WASM_BYTES : Math.min(WASM_BYTES, host);
  if (backend === 'cpu') return host;
  return limits.maxBufferSize ?? null;
}

function hostBytes(): number | null {
  const {process, navigator} = globalThis as {
    process?: {availableMemory?: () => number; constrainedMemory?: () => number};
    navigator?: {deviceMemory?: number};
  };
  const node = process?.availableMemory?.() ?? process?.constrainedMemory?.();
  if (node !== undefined && node > 0) return node;
  // GiB, rounded by browsers to a power of two, 8 at most.
  return navigator?.deviceMemory === undefined ? null : navigator.deviceMemory * 2 ** 30;
}
