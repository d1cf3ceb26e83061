/** tf.js's webgpu backend on a device of our own: larger buffers, subgroups, 16-bit arithmetic, and several devices by name. */
import * as tf from '@tensorflow/tfjs';
import {checkArray, checkName, checkOptions} from '../../src/arguments.js';
import {ArgumentError, DeviceError} from '../../src/errors.js';
import {QUANTIZED_MATMUL} from '../attributes.js';
import {asWebGPU, type WebGPUBackendLike} from './backend.js';
import {choiceForDevice} from './explain.js';
import {healthOf} from './health.js';
import {registerWebgpuKernels} from './index.js';
import {verifyOnce} from './known_answer.js';

export interface WebGPUDeviceOptions {
  /** Backend name: 'webgpu' (default), 'webgpu:1', ... A device of that name that holds no tensors is replaced. */
  name?: string;
  /** Which adapter to ask for. Default: the browser's choice. Source: WebGPU `GPURequestAdapterOptions`. */
  powerPreference?: GPUPowerPreference;
  /** Features that must be there. 'subgroups', 'shader-f16' and 'timestamp-query' are asked for wherever the adapter has them. */
  requiredFeatures?: readonly GPUFeatureName[];
  /** 'adapter' (default): the adapter's largest buffers and workgroups. 'default': what any WebGPU device has. Or numbers of your own. */
  limits?: 'adapter' | 'default' | Readonly<Record<string, number>>;
  /** Default: navigator.gpu, in Node that of the npm package `webgpu`. */
  gpu?: GPU;
  /** tf.js's class, where it is not found by itself: `import {WebGPUBackend} from '@tensorflow/tfjs-backend-webgpu'`. */
  backendClass?: WebGPUBackendClass;
  /** tf.js's priority among backends; higher is preferred at start. Default 3, that of tf.js's own. */
  priority?: number;
}

export type WebGPUBackendClass = new (device: GPUDevice, info?: GPUAdapterInfo) => tf.KernelBackend;

const OPTIONS = ['name', 'powerPreference', 'requiredFeatures', 'limits', 'gpu', 'backendClass', 'priority'];

const WISHES: readonly string[] = ['subgroups', 'shader-f16', 'timestamp-query', 'bgra8unorm-storage'];

/** Limits that default to less than adapters have, and that large weights or workgroups come up against. */
const LARGER = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
] as const;

/** Dawn ends the process where its instance is collected. */
let dawn: GPU | null = null;

async function findGPU(): Promise<GPU> {
  const found = (globalThis.navigator as Navigator | undefined)?.gpu ?? dawn;
  if (found !== undefined && found !== null) return found;
  if (typeof process === 'undefined' || process.versions?.node === undefined) throw noGPU('a browser without it');
  try {
    // Not a literal: a page's bundle must not hold Node's module.
    const name = 'webgpu';
    const module = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as {create(o: string[]): GPU; globals: object};
    Object.assign(globalThis, module.globals);
    dawn = module.create([]);
    return dawn;
  } catch (error) {
    throw noGPU(`Node, where importing 'webgpu' says: ${(error as Error).message}`);
  }
}

function noGPU(received: string): DeviceError {
  return new DeviceError({
    where: 'webgpu',
    expected: 'WebGPU',
    received,
    remedy: "In Node install 'webgpu'; in a browser use a secure context.",
  });
}

/** tf.js's class asks for navigator.gpu, which Node has not. */
function provideNavigator(gpu: GPU): void {
  if ((globalThis.navigator as Navigator | undefined)?.gpu !== undefined) return;
  Object.defineProperty(globalThis, 'navigator', {value: {...globalThis.navigator, gpu}, configurable: true});
}

async function findClass(given: WebGPUBackendClass | undefined): Promise<WebGPUBackendClass> {
  const global = (globalThis as {tf?: {WebGPUBackend?: WebGPUBackendClass}}).tf?.WebGPUBackend;
  const own = tf.engine().registry.webgpu?.constructor as WebGPUBackendClass | undefined;
  const known = given ?? global ?? own;
  if (known !== undefined) return known;
  try {
    const name = '@tensorflow/tfjs-backend-webgpu';
    return ((await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as {WebGPUBackend: WebGPUBackendClass}).WebGPUBackend;
  } catch (error) {
    throw new DeviceError({
      where: 'createWebGPUBackend',
      expected: "tf.js's WebGPUBackend class",
      received: `none: ${(error as Error).message}`,
      remedy: "Pass it: createWebGPUBackend({backendClass: WebGPUBackend}) with WebGPUBackend from '@tensorflow/tfjs-backend-webgpu'.",
    });
  }
}

async function openDevice(gpu: GPU, options: WebGPUDeviceOptions): Promise<{device: GPUDevice; info: GPUAdapterInfo}> {
  const adapter = await gpu.requestAdapter(options.powerPreference === undefined ? {} : {powerPreference: options.powerPreference});
  if (adapter === null) throw new DeviceError({where: 'createWebGPUBackend', expected: 'a WebGPU adapter', received: 'none'});
  const required = options.requiredFeatures ?? [];
  const missing = required.filter((f) => !adapter.features.has(f));
  if (missing.length > 0) {
    throw new DeviceError({
      where: 'createWebGPUBackend',
      expected: `an adapter with ${required.join(', ')}`,
      received: `one without ${missing.join(', ')}`,
    });
  }
  const available = adapter.limits as unknown as Record<string, number>;
  const limits = options.limits ?? 'adapter';
  const own = typeof limits === 'string' ? {} : limits;
  for (const [name, value] of Object.entries(own)) checkLimit(name, value, available[name]);
  const largest = limits === 'default' ? {} : Object.fromEntries(LARGER.map((name) => [name, available[name] as number]));
  const requiredFeatures = [...new Set([...required, ...WISHES.filter((f) => adapter.features.has(f))])] as GPUFeatureName[];
  const device = await adapter.requestDevice({requiredFeatures, requiredLimits: {...largest, ...own}});
  return {device, info: adapter.info};
}

/** Throws ArgumentError: what is no option of a device, or not of its kind, would be ignored, or end the process in Dawn. */
function checkDevice(options: WebGPUDeviceOptions): void {
  const where = 'createWebGPUBackend';
  checkOptions(where, options, OPTIONS);
  checkName(options.name, where);
  checkArray(`${where}: requiredFeatures`, options.requiredFeatures ?? [], 'features');
  const {gpu, backendClass, powerPreference = 'low-power', limits = 'default', priority = 0} = options;
  const among = (option: string, received: unknown, expected: string, fits: boolean) => {
    if (!fits) throw new ArgumentError({where: `${where}: ${option}`, expected, received});
  };
  among('gpu', gpu, 'a GPU', (gpu ?? null) === null || typeof gpu?.requestAdapter === 'function');
  among('backendClass', backendClass, 'a class', (backendClass ?? null) === null || typeof backendClass === 'function');
  among('powerPreference', powerPreference, 'low-power or high-performance', ['low-power', 'high-performance'].includes(powerPreference));
  among('limits', limits, 'adapter, default or an object of numbers', limits === 'adapter' || limits === 'default' || isNumbers(limits));
  among('priority', priority, 'a number', Number.isFinite(priority));
}

function isNumbers(limits: unknown): boolean {
  return typeof limits === 'object' && limits !== null && Object.values(limits).every((value) => Number.isInteger(value) && value >= 0);
}

function checkLimit(name: string, value: number, available: number | undefined): void {
  if (available === undefined)
    throw new ArgumentError({where: 'createWebGPUBackend: limits', expected: 'names of WebGPU limits', received: name});
  // For an alignment less is more; the device refuses that itself.
  if (value > available && !name.startsWith('min')) {
    throw new DeviceError({
      where: `createWebGPUBackend: ${name}`,
      expected: `at most ${available}, the adapter's`,
      received: value,
    });
  }
}

/**
 * Registers a backend of tf.js's class on a device of its own, with all kernels of 'webgpu' under its name, and checks that it
 * computes rightly. Make it current with `tf.setBackend(name)`, or name it: `new DeviceRef(name)`, `DeviceRef.gpu(1)`.
 * @returns the backend's name
 * Throws ArgumentError for an unknown option, DeviceError where there is no adapter, a required feature or limit is missing, the name is in use by a device that
 * holds tensors, or the device fails its known answers.
 *
 * ```js
 * // Where there is no adapter the promise is rejected, and the program can choose another backend.
 * const refused = await tfl.createWebGPUBackend({gpu: {requestAdapter: async () => null}}).catch((error) => error.name);
 * refused; // "DeviceError"
 * ```
 */
export async function createWebGPUBackend(options: WebGPUDeviceOptions = {}): Promise<string> {
  checkDevice(options);
  const name = options.name ?? 'webgpu';
  const gpu = options.gpu ?? (await findGPU());
  const {device, info} = await openDevice(gpu, options);
  // Not before there is a device: a call that fails must leave navigator as it was.
  provideNavigator(gpu);
  const backendClass = await findClass(options.backendClass).catch((error) => {
    device.destroy();
    throw error;
  });
  makeRoom(name, device);
  tf.registerBackend(name, () => new backendClass(device, info), options.priority ?? 3);
  if (name !== 'webgpu' && tf.getKernel('Add', name) === undefined) tf.copyRegisteredKernels('webgpu', name);
  if (tf.getKernel(QUANTIZED_MATMUL, name) === undefined) registerWebgpuKernels(name);
  const backend = asWebGPU(tf.findBackend(name));
  try {
    await verifyDevice(backend);
  } catch (error) {
    tf.removeBackend(name);
    device.destroy();
    throw error;
  }
  return name;
}

/** Frees a name: from nothing, from a factory not yet used, or from a device without tensors. */
function makeRoom(name: string, device: GPUDevice): void {
  const {registry, registryFactory} = tf.engine();
  if (registryFactory[name] === undefined) return;
  const old = registry[name] as WebGPUBackendLike | undefined;
  if (old !== undefined && healthOf(old).error === null && old.numDataIds() > 0) {
    device.destroy();
    throw new DeviceError({
      where: `createWebGPUBackend: '${name}'`,
      expected: 'a name that is free, or a device without tensors',
      received: `a device with ${old.numDataIds()} tensors`,
      remedy: "Give another name, such as 'webgpu:1', or dispose the tensors first.",
    });
  }
  tf.removeBackend(name);
  old?.device.destroy();
}

/** The kernels that this device will use first, on their known answers. */
async function verifyDevice(backend: WebGPUBackendLike): Promise<void> {
  verifyOnce(backend, 'unpack');
  verifyOnce(backend, choiceForDevice(backend));
  await healthOf(backend).settled();
}
