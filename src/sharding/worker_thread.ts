/** One worker and its commands: posted in order, done in order, waited for by whoever needs the results. */
import {DeviceError} from '../errors.js';
import {inNode} from '../io/node_module.js';
import {CODES, COMMAND, CONTROL, type HeapMessage, NODE_SOURCE, PAGE_SOURCE, SLOTS, WIDTH, type WorkerData} from './worker_source.js';

interface Port {
  post(message: WorkerData | HeapMessage): void;
  /** Ends the worker at once. */
  terminate(): Promise<unknown>;
  /** What ended the worker, where it has ended by itself. Told by events: a thread that waits does not hear of it. */
  readonly ended: () => string | null;
}

/** A call for a worker. */
export interface Command {
  readonly code: number;
  readonly heap: number;
  readonly args: readonly number[];
}

/** A wait this long says that the worker is gone. */
const PATIENCE_MS = 60_000;

/** A page's main thread may not sleep. */
export const MAY_SLEEP = inNode() || typeof (globalThis as {window?: unknown}).window === 'undefined';

export class WorkerThread {
  private readonly control: Int32Array;
  private readonly commands: Float64Array;
  private posted = 0;
  private isStopped = false;

  private constructor(
    readonly id: number,
    private readonly port: Port,
    control: SharedArrayBuffer,
    commands: SharedArrayBuffer,
  ) {
    this.control = new Int32Array(control);
    this.commands = new Float64Array(commands);
  }

  /** A started worker. Throws DeviceError where one cannot be had. */
  static async start(id: number, names: readonly string[]): Promise<WorkerThread> {
    const control = new SharedArrayBuffer(CONTROL.length * 4);
    const commands = new SharedArrayBuffer(SLOTS * WIDTH * 8);
    const port = inNode() ? await nodePort() : pagePort();
    const thread = new WorkerThread(id, port, control, commands);
    port.post({control, commands, names});
    await thread.becomes(thread.control, CONTROL.ready, 1);
    return thread;
  }

  /** Gives the worker another memory. */
  attach(message: HeapMessage): void {
    // It sleeps on shared memory and hears no message until it is told to listen.
    this.port.post(message);
    this.post({code: CODES.listen, heap: 0, args: []});
  }

  /** Appends a command; waits where the ring is full. */
  post({code, heap, args}: Command): void {
    if (this.isStopped) throw this.gone('one that was stopped');
    if (this.posted - this.finished >= SLOTS) this.waitFor(this.posted - SLOTS + 1);
    const at = (this.posted & (SLOTS - 1)) * WIDTH;
    const {commands} = this;
    commands[at + COMMAND.code] = code;
    commands[at + COMMAND.heap] = heap;
    commands[at + COMMAND.count] = args.length;
    commands.set(args, at + COMMAND.args);
    this.posted++;
    Atomics.store(this.control, CONTROL.posted, this.posted | 0);
    Atomics.notify(this.control, CONTROL.posted);
  }

  /** Commands posted so far: what `waitFor` and `isDone` count. */
  get count(): number {
    return this.posted;
  }

  isDone(count: number): boolean {
    return this.finished >= count;
  }

  /** Until `count` commands are finished (default: all). Throws DeviceError where one failed. */
  waitFor(count = this.posted): void {
    let since = 0;
    for (let spin = 0; this.finished < count; spin++) {
      if (spin < 200) continue;
      if (!MAY_SLEEP) {
        if (spin % 1000 !== 0) continue;
        since ||= performance.now();
        if (performance.now() - since > PATIENCE_MS) throw this.gone('no answer');
        continue;
      }
      const now = Atomics.load(this.control, CONTROL.finished);
      if (this.finished < count && Atomics.wait(this.control, CONTROL.finished, now, PATIENCE_MS) === 'timed-out')
        throw this.gone('no answer');
    }
    this.assertWell();
  }

  /** As waitFor, without holding up the thread. */
  async waitForAsync(count = this.posted): Promise<void> {
    await this.until(this.control, CONTROL.finished, () => this.finished >= count);
    this.assertWell();
  }

  /** Ends the worker at once. */
  async terminate(): Promise<void> {
    this.isStopped = true;
    await this.port.terminate();
  }

  /** Commands finished. The shared word has 32 bits; the ring keeps it near `posted`. */
  private get finished(): number {
    return this.posted - ((this.posted - Atomics.load(this.control, CONTROL.finished)) | 0);
  }

  /** Throws DeviceError where a command failed. */
  assertWell(): void {
    if (Atomics.load(this.control, CONTROL.failed) !== 0) throw this.gone('one whose last command failed');
  }

  private gone(received: string): DeviceError {
    return new DeviceError({where: `worker ${this.id}`, expected: 'a worker that answers', received});
  }

  /** Until a shared word has this value. Throws DeviceError where the worker has ended. */
  becomes(words: Int32Array, field: number, value: number): Promise<void> {
    return this.until(words, field, (now) => now === value);
  }

  /** Until a shared word is such that `isThere`. Throws DeviceError where the worker has ended. */
  private async until(words: Int32Array, field: number, isThere: (now: number) => boolean): Promise<void> {
    for (;;) {
      const now = Atomics.load(words, field);
      if (isThere(now)) return;
      const ended = this.port.ended();
      if (ended !== null) throw this.gone(ended);
      await nextChange(words, field, now);
    }
  }
}

/** Until a shared word is another than `now`, or a while has passed. */
async function nextChange(words: Int32Array, field: number, now: number): Promise<void> {
  const waitAsync = (Atomics as {waitAsync?: WaitAsync}).waitAsync;
  const waiting = waitAsync?.call(Atomics, words, field, now, 100);
  if (waiting === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  } else if (waiting.async) {
    // Neither a sleeping worker nor such a promise keeps Node's process alive.
    const alive = setInterval(() => undefined, 1000);
    try {
      await waiting.value;
    } finally {
      clearInterval(alive);
    }
  }
}

type WaitAsync = (array: Int32Array, at: number, value: number, timeout: number) => {async: boolean; value: Promise<string> | string};

async function nodePort(): Promise<Port> {
  // Not a literal: a page's bundle must not hold Node's module.
  const name = 'node:worker_threads';
  const {Worker} = (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as typeof import('node:worker_threads');
  const worker = new Worker(NODE_SOURCE, {eval: true});
  // A process may end while its workers sleep.
  worker.unref();
  let ended: string | null = null;
  worker.on('error', (error) => {
    ended ??= String(error);
  });
  worker.on('exit', () => {
    ended ??= 'one that has ended';
  });
  return {post: (message) => worker.postMessage(message), terminate: () => worker.terminate(), ended: () => ended};
}

function pagePort(): Port {
  const url = URL.createObjectURL(new Blob([PAGE_SOURCE], {type: 'text/javascript'}));
  const worker = new Worker(url);
  let ended: string | null = null;
  worker.onerror = ({message}) => {
    ended ??= message ?? 'one that may not start here';
  };
  return {
    post: (message) => worker.postMessage(message),
    terminate: async () => {
      // No event tells of it, as Node's does: who waits has to hear.
      ended ??= 'one that has ended';
      worker.terminate();
      URL.revokeObjectURL(url);
    },
    ended: () => ended,
  };
}
