/** The part of tf.js's webgpu backend that the kernels use, found on the object that tf.js passes to them. */
import {findBackend, type KernelBackend, type TensorInfo, type TypedArray} from '@tensorflow/tfjs';
import {remember} from '../memo.js';

export interface TensorData {
  values: TypedArray | null;
  dtype: string;
  resource?: GPUBuffer | null;
}

/** tf.js batches commands in one encoder; we append to it, so that its order, its disposal and its submissions hold for ours too. */
export interface WebGPUBackendLike extends KernelBackend {
  readonly device: GPUDevice;
  readonly queue: GPUQueue;
  readonly adapterInfo?: {readonly vendor?: string; readonly architecture?: string};
  readonly tensorMap: {get(dataId: object): TensorData; has(dataId: object): boolean};
  readonly bufferManager: {
    acquireBuffer(size: number, usage: number, mappedAtCreation?: boolean, reuse?: boolean): GPUBuffer;
    releaseBuffer(buffer: GPUBuffer, reuse?: boolean): void;
  };
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  commandQueueOwnedIds: WeakSet<object>;
  dispatchCountInPass: number;
  activeTimers?: unknown[] | null;
  supportTimestampQuery?: boolean;
  querySet?: GPUQuerySet | null;
  getQueryTime(): Promise<number>;
  /** Copies a buffer to the host; what was recorded before is submitted before it returns. */
  getBufferData(buffer: GPUBuffer): Promise<ArrayBuffer>;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(dataId: object): void;
  makeTensorInfo(shape: number[], dtype: string, values?: TypedArray): TensorInfo;
  disposeData(dataId: object, force?: boolean): boolean;
}

/** What a kernel may use: the device's limits, unless some were lowered for it. */
export interface DeviceLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly minStorageBufferOffsetAlignment: number;
}

const LIMIT_NAMES = [
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupStorageSize',
  'minStorageBufferOffsetAlignment',
] as const;

/** What is known of a device, for choosing a kernel. */
export interface DeviceProfile {
  readonly limits: DeviceLimits;
  readonly features: ReadonlySet<string>;
  /** Shaders run on a CPU. */
  readonly software: boolean;
}

export interface ProfileOverrides {
  limits?: Partial<DeviceLimits>;
  /** Features to do without, although the device has them. */
  withoutFeatures?: readonly string[];
  software?: boolean;
}

const overrides = new WeakMap<object, ProfileOverrides>();
const profiles = new WeakMap<object, DeviceProfile>();

/** Makes kernels believe in a lesser device: lower limits cost tests kilobytes, where the real ones cost gigabytes. null undoes it. */
export function overrideProfile(backend: WebGPUBackendLike, changes: ProfileOverrides | null): void {
  profiles.delete(backend);
  if (changes === null) overrides.delete(backend);
  else overrides.set(backend, changes);
}

export function profileOf(backend: WebGPUBackendLike): DeviceProfile {
  return remember(profiles, backend, () => {
    const changes = overrides.get(backend) ?? {};
    const limits = Object.fromEntries(LIMIT_NAMES.map((name) => [name, changes.limits?.[name] ?? backend.device.limits[name]]));
    return {
      limits: limits as unknown as DeviceLimits,
      features: new Set([...backend.device.features].filter((f) => !changes.withoutFeatures?.includes(f))),
      software: changes.software ?? isSoftware(backend),
    };
  });
}

function isSoftware(backend: WebGPUBackendLike): boolean {
  const info = (backend.device as {adapterInfo?: Partial<GPUAdapterInfo>}).adapterInfo;
  if (info?.isFallbackAdapter === true) return true;
  const names = [
    info?.architecture,
    info?.description,
    info?.device,
    info?.vendor,
    backend.adapterInfo?.architecture,
    backend.adapterInfo?.vendor,
  ];
  return names.some((name) => name !== undefined && /swiftshader|llvmpipe|lavapipe|warp|basic render/i.test(name));
}

/** tf.js's backend object as ours. */
export function asWebGPU(backend: unknown): WebGPUBackendLike {
  return backend as WebGPUBackendLike;
}

/** The started backend of this name, where it is one of ours or tf.js's on WebGPU; else null. */
export function findWebGPU(name: string): WebGPUBackendLike | null {
  const backend = String(name).split(':')[0] === 'webgpu' ? findBackend(name) : null;
  // A device in another thread has no part of this.
  return backend === null || backend === undefined || !('tensorMap' in backend) ? null : asWebGPU(backend);
}

/** `made`, once `f` has run; where `f` throws, `made` is disposed. */
export function orDispose<T extends TensorInfo>(backend: WebGPUBackendLike, made: T, f: () => void): T {
  try {
    f();
  } catch (error) {
    backend.disposeData(made.dataId);
    throw error;
  }
  return made;
}
