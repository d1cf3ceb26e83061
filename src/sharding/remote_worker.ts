/** The calling side of a thread with a device of its own: requests in order, answers awaited or slept for. */
import type {MessagePort, Worker} from 'node:worker_threads';
import {DeviceError} from '../errors.js';
import type {Answer, Ready, RemoteSetup, Request} from './remote_messages.js';

/** Without its number. */
type Unnumbered<R> = R extends unknown ? Omit<R, 'seq'> : never;

type Threads = typeof import('node:worker_threads');

/** A sleep that long means that the thread hangs. Software GPUs compile a shader for seconds. */
const PATIENCE_MS = 300_000;

export class RemoteWorker {
  private seq = 0;
  private isStopped = false;
  private readonly answers = new Map<number, Answer>();
  private readonly awaited = new Map<number, {resolve: (answer: Answer) => void; reject: (error: Error) => void}>();

  private constructor(
    private readonly name: string,
    private readonly threads: Threads,
    private readonly worker: Worker,
    private readonly port: MessagePort,
    private readonly signal: Int32Array,
    readonly ready: Ready,
  ) {
    port.on('message', (answer: Answer) => this.take(answer));
    // Neither keeps a process alive; `ask` does while it waits.
    port.unref();
    worker.unref();
    worker.on('exit', () => this.end());
  }

  /** A started thread. Throws DeviceError where the thread, or its device, cannot be had. */
  static async start(name: string, options: object): Promise<RemoteWorker> {
    // Names, not literals: bundles for pages hold neither.
    const module = 'node:worker_threads';
    const program = './gpu_worker.js';
    // Apart from the URL: bundlers take `new URL(..., import.meta.url)` for a file of theirs.
    const here = import.meta.url;
    const threads = (await import(/* webpackIgnore: true */ /* @vite-ignore */ module)) as Threads;
    const {port1, port2} = new threads.MessageChannel();
    const signal = new Int32Array(new SharedArrayBuffer(8));
    const workerData: RemoteSetup = {port: port2, signal, options};
    const worker = new threads.Worker(new URL(program, here), {workerData, transferList: [port2]});
    const ready = await new Promise<Ready>((resolve, reject) => {
      port1.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('it ended')));
    }).catch((error: Error): Ready => ({kernels: [], limits: {}, adapterInfo: {}, failure: error}));
    worker.removeAllListeners();
    // An error after this point is seen as the thread's end.
    worker.on('error', () => undefined);
    if (ready.failure === undefined) return new RemoteWorker(name, threads, worker, port1, signal, ready);
    port1.close();
    await worker.terminate();
    throw new DeviceError({where: `device '${name}'`, expected: 'a WebGPU device in a thread', received: ready.failure.message});
  }

  /** Asked for, not waited for. */
  post(request: Unnumbered<Request>, transfer: ArrayBuffer[] = []): void {
    this.checkAlive();
    this.port.postMessage({...request, seq: 0}, transfer);
  }

  /** The answer, slept for. Throws DeviceError where the request, or an earlier one, failed. */
  askNow(request: Unnumbered<Request>): Answer {
    const seq = this.send(request);
    for (;;) {
      const seen = Atomics.load(this.signal, 0);
      for (let next = this.receive(); next !== null; next = this.receive()) this.take(next);
      const answer = this.answers.get(seq);
      if (answer !== undefined) {
        this.answers.delete(seq);
        return this.checked(answer);
      }
      this.checkAlive();
      if (Atomics.wait(this.signal, 0, seen, PATIENCE_MS) === 'timed-out') throw this.gone('no answer');
    }
  }

  /** The answer, awaited. */
  async ask(request: Unnumbered<Request>): Promise<Answer> {
    const seq = this.send(request);
    this.port.ref();
    try {
      const answer = await new Promise<Answer>((resolve, reject) => this.awaited.set(seq, {resolve, reject}));
      return this.checked(answer);
    } finally {
      this.awaited.delete(seq);
      if (this.awaited.size === 0) this.port.unref();
    }
  }

  /** Ends the thread and its device. */
  stop(): void {
    this.isStopped = true;
    this.port.close();
    void this.worker.terminate();
  }

  private send(request: Unnumbered<Request>): number {
    this.checkAlive();
    this.port.postMessage({...request, seq: ++this.seq});
    return this.seq;
  }

  private receive(): Answer | null {
    return (this.threads.receiveMessageOnPort(this.port)?.message as Answer | undefined) ?? null;
  }

  private take(answer: Answer): void {
    const waiting = this.awaited.get(answer.seq);
    if (waiting === undefined) this.answers.set(answer.seq, answer);
    else waiting.resolve(answer);
  }

  private checked(answer: Answer): Answer {
    const {failure} = answer;
    if (failure === undefined) return answer;
    throw this.gone(`${failure.name}: ${failure.message}`);
  }

  private checkAlive(): void {
    if (this.isStopped || Atomics.load(this.signal, 1) !== 0) throw this.gone('one that has ended');
  }

  private end(): void {
    for (const {reject} of this.awaited.values()) reject(this.gone('one that has ended'));
  }

  private gone(received: string): DeviceError {
    return new DeviceError({where: `device '${this.name}'`, expected: 'a thread that answers', received});
  }
}
