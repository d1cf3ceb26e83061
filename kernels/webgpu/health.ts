/**
 * What is wrong with a device, and who is told. A lost device, one out of memory, a refused shader or a wrong known answer
 * makes pending reads reject and later kernel calls throw the same DeviceError: nothing hangs, nothing answers with stale numbers.
 */
import {DeviceError} from '../../src/errors.js';
import {remember} from '../memo.js';
import type {WebGPUBackendLike} from './backend.js';

/** How long a failed read waits for the device to say that it is lost: what came before it, such as shaders to compile, is done first. */
const LOSS_NEWS_MS = 10_000;
/** The same where the failure does not look like a loss. */
const OTHER_NEWS_MS = 500;

/** What a device's promises reject with when it is lost. */
const LOSS_NAMES: readonly unknown[] = ['AbortError', 'OperationError'];

export class Health {
  private failure: DeviceError | null = null;
  private readonly checks = new Set<Promise<void>>();
  private readonly reject: (error: DeviceError) => void;
  /** Rejects when the device fails; never resolves. */
  readonly failed: Promise<never>;

  constructor(private readonly backend: WebGPUBackendLike) {
    let reject: (error: DeviceError) => void = () => {};
    this.failed = new Promise<never>((_, no) => {
      reject = no;
    });
    this.failed.catch(() => {});
    this.reject = reject;
  }

  /** The first failure, or null. */
  get error(): DeviceError | null {
    return this.failure;
  }

  /** From here on every read and kernel call on this device throws. */
  fail(error: DeviceError): void {
    if (this.failure !== null) return;
    this.failure = error;
    this.reject(error);
  }

  /** Holds back reads until `check` has settled. */
  check(check: Promise<void>): void {
    const held = check.catch(async (error: unknown) => {
      // A device that is lost says so itself, and better.
      if (!(error instanceof DeviceError)) await this.lossNews(error);
      this.fail(error instanceof DeviceError ? error : failedCheck(error));
    });
    this.checks.add(held);
    held.then(() => this.checks.delete(held));
  }

  /** Resolves when every check so far has passed; throws DeviceError otherwise. */
  async settled(): Promise<void> {
    while (this.checks.size > 0) await Promise.race([Promise.all(this.checks), this.failed]);
    this.assertWell();
  }

  assertWell(): void {
    if (this.failure !== null) throw this.failure;
  }

  /** Watches the device and stands before the backend's reads. */
  watch(): this {
    const {backend} = this;
    const {device} = backend;
    device.lost.then((info) => this.fail(lostError(info)));
    device.addEventListener?.('uncapturederror', (event) => {
      const error = uncapturedError((event as GPUUncapturedErrorEvent).error);
      // What a check in progress has to say is nearer to the cause.
      this.check(Promise.all(this.checks).then(() => Promise.reject(error)));
    });
    const read = backend.read.bind(backend);
    backend.read = async (dataId) => {
      // What is on the host is as good as ever.
      const onHost = backend.tensorMap.has(dataId) && backend.tensorMap.get(dataId).values != null;
      if (onHost) return read(dataId);
      this.assertWell();
      const values = await Promise.race([read(dataId).catch((error: unknown) => this.explain(error)), this.failed]);
      await this.settled();
      return values;
    };
    return this;
  }

  /** A read that failed because the device is gone says so in terms of the device, if the device tells in time. */
  private async explain(error: unknown): Promise<never> {
    await this.lossNews(error);
    throw this.failure ?? error;
  }

  /** Resolves when the device has said that it is lost, or has had the time to. */
  private async lossNews(error: unknown): Promise<void> {
    if (this.failure !== null) return;
    const wait = LOSS_NAMES.includes((error as Partial<Error> | null)?.name) ? LOSS_NEWS_MS : OTHER_NEWS_MS;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const time = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, wait);
    });
    await Promise.race([this.backend.device.lost, time]);
    clearTimeout(timer);
    await Promise.resolve();
  }
}

function failedCheck(error: unknown): DeviceError {
  return new DeviceError({where: 'webgpu device', expected: 'a check that ends', received: error}, {cause: error});
}

function lostError(info: GPUDeviceLostInfo): DeviceError {
  return new DeviceError({
    where: 'webgpu device',
    expected: 'a live device',
    received: `a lost one (${info.reason || 'unknown reason'}${info.message ? `: ${info.message}` : ''})`,
    why: 'Tensors and weights on it are gone.',
    remedy: 'Create the backend anew (createWebGPUBackend) and load the weights again, or use another backend.',
  });
}

function uncapturedError(error: GPUError): DeviceError {
  const memory = error.constructor?.name === 'GPUOutOfMemoryError';
  return new DeviceError({
    where: 'webgpu device',
    expected: memory ? 'memory for a buffer' : 'commands that the device accepts',
    received: memory ? `out of memory: ${error.message}` : error.message,
    why: 'Whatever was computed with it is wrong.',
    remedy: memory ? 'Dispose tensors or load a smaller model, on a new device.' : undefined,
  });
}

const healths = new WeakMap<object, Health>();

/** The health of a backend's device, watched from the first call on. */
export const healthOf = (backend: WebGPUBackendLike): Health => remember(healths, backend, () => new Health(backend).watch());
