/** Names of places to compute: a tf.js backend, chosen by kind or by name. */
import * as tf from '@tensorflow/tfjs';
import {ArgumentError, DeviceError} from './errors.js';

/** Parts of tf.js's engine that switching backends needs; all are public fields at run time. */
interface EngineInternals {
  backendName: string;
  backendInstance: object;
  registry: Record<string, object>;
  registryFactory: Record<string, unknown>;
}

const internals = () => tf.engine() as unknown as EngineInternals;

/**
 * A device, by backend name. Source: MAX `DeviceRef`.
 * `cpu()` is 'wasm' where registered, else 'cpu'; `gpu(id)` is 'webgpu' (id 0) or 'webgpu:id', else 'webgl', else 'tensorflow'.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 2, outDim: 2, device: new tfl.DeviceRef('cpu')});
 * layer.device.backendName; // "cpu"
 * ```
 */
export class DeviceRef {
  constructor(
    /** A registered backend's name. Throws DeviceError (on first use) where it is not registered. */
    readonly backendName: string,
  ) {
    if (typeof backendName === 'string' && backendName !== '') return;
    throw new ArgumentError({where: 'DeviceRef', expected: "a backend's name, such as 'wasm'", received: backendName});
  }

  static cpu(): DeviceRef {
    return new DeviceRef(isRegistered('wasm') ? 'wasm' : 'cpu');
  }

  /** Throws DeviceError where no GPU backend is registered. */
  static gpu(id = 0): DeviceRef {
    const candidates = id === 0 ? ['webgpu', 'webgl', 'tensorflow'] : [`webgpu:${id}`];
    const found = candidates.find(isRegistered);
    if (found !== undefined) return new DeviceRef(found);
    throw new DeviceError({
      where: `DeviceRef.gpu(${id})`,
      expected: `a registered backend: ${candidates.join(', ')}`,
      received: registeredBackends().join(', ') || 'none',
      remedy: "Import '@tensorflow/tfjs-backend-webgpu', or name a backend: new DeviceRef('wasm').",
    });
  }

  toString(): string {
    return this.backendName;
  }
}

/** A device by name or reference; null: none was given. Throws ArgumentError. */
export function deviceOf(device: DeviceRef | string | null | undefined): DeviceRef | null {
  return device instanceof DeviceRef ? device : device === null || device === undefined ? null : new DeviceRef(device);
}

/** Its backend's name. Throws ArgumentError for what is no name. */
export function nameOf(device: DeviceRef | string): string {
  return (device instanceof DeviceRef ? device : new DeviceRef(device)).backendName;
}

/** Throws ArgumentError unless it is a list of some. */
export function checkDeviceList(devices: readonly (DeviceRef | string)[] | undefined, where: string): asserts devices {
  if (Array.isArray(devices) && devices.length > 0) return;
  const received = Array.isArray(devices) ? 'an empty one' : devices === undefined ? 'none' : devices;
  throw new ArgumentError({where, expected: 'a non-empty list of devices', received});
}

export function registeredBackends(): string[] {
  return Object.keys(internals().registryFactory);
}

function isRegistered(name: string): boolean {
  return name in internals().registryFactory;
}

/** Backends whose kernels' set-up has run; setBackend repeats it at every call, which is slow. */
const prepared = new WeakSet<object>();

/** Runs `f` with the device's backend current, then puts the old one back. null: the current backend. */
export function onDevice<T>(device: DeviceRef | null, f: () => T): T {
  const engine = internals();
  if (device === null || device.backendName === engine.backendName) return f();
  useBackend(device.backendName);
  const name = device.backendName;
  const before = {backendName: engine.backendName, backendInstance: engine.backendInstance};
  engine.backendName = name;
  engine.backendInstance = engine.registry[name] as object;
  try {
    return f();
  } finally {
    engine.backendName = before.backendName;
    engine.backendInstance = before.backendInstance;
  }
}

/** Backends whose factories answer at once. */
const SYNCHRONOUS: readonly string[] = ['cpu', 'webgl', 'tensorflow'];

/** Makes sure a backend is ready to run kernels, without leaving it current. */
function useBackend(name: string): void {
  const engine = internals();
  if (!isRegistered(name)) {
    throw new DeviceError({
      where: `device '${name}'`,
      expected: `a registered backend: ${registeredBackends().join(', ')}`,
      received: name,
    });
  }
  // tf.js refuses every op while a backend starts asynchronously, so only those are started here that start at once.
  const instance = name in engine.registry || SYNCHRONOUS.includes(name) ? (tf.engine().findBackend(name) as object | null) : null;
  if (instance === null) {
    throw new DeviceError({
      where: `device '${name}'`,
      expected: 'a backend that has started',
      received: 'one that starts asynchronously',
      remedy: `Call 'await tf.setBackend("${name}")' once before.`,
    });
  }
  if (prepared.has(instance)) return;
  const before = engine.backendName;
  // For a backend that has started, all of setBackend's work, its kernels' set-up, is done when it returns.
  void tf.setBackend(name);
  if (before !== undefined && before !== null) void tf.setBackend(before);
  prepared.add(instance);
}
