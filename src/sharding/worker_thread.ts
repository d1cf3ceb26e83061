/** One worker and its commands: posted in order, done in order, waited for by whoever needs the results. */
import {DeviceError} from '../errors.js';
import {inNode} from '../io/node_module.js';
import {CODES, COMMAND, CONTROL, type HeapMessage, NODE_SOURCE, PAGE_SOURCE, SLOTS, WIDTH, type WorkerData} from './worker_source.js';

interface Port {
  post(message: WorkerData | HeapMessage): void;
  stop(): void;
}

/** A call for a worker. `job` null: one call; else rows in chunks that all threads take from a counter. */
export interface Command {
  readonly code: number;
  readonly heap: number;
  readonly args: readonly number[];
  readonly parallel: Parallel | null;
}

export interface Parallel {
  readonly job: number;
  /** First row. */
  readonly begin: number;
  /** Past the last row. */
  readonly end: number;
  /** Rows of a chunk. */
  readonly chunk: number;
  /** Which arguments are the first and past the last row of a chunk. */
  readonly beginAt: number;
  readonly endAt: number;
  /** Which argument is a thread's own memory, and bytes from one thread's to the next; -1: none. */
  readonly scratchAt: number;
  readonly scratchStep: number;
  /** Which argument points at what belongs to the first row of a chunk, and its bytes a row; -1: none. */
  readonly moveAt: number;
  readonly moveStep: number;
}

/** A wait this long says that the worker is gone. */
const PATIENCE_MS = 60_000;

/** A page's main thread may not sleep. */
const MAY_SLEEP = inNode() || typeof (globalThis as {window?: unknown}).window === 'undefined';

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
  static async start(id: number, names: readonly string[], jobs: SharedArrayBuffer): Promise<WorkerThread> {
    const control = new SharedArrayBuffer(CONTROL.length * 4);
    const commands = new SharedArrayBuffer(SLOTS * WIDTH * 8);
    const port = inNode() ? await nodePort() : pagePort();
    const thread = new WorkerThread(id, port, control, commands);
    port.post({control, commands, jobs, id, names});
    await thread.becomes(CONTROL.ready, 1);
    return thread;
  }

  /** Gives the worker another memory. */
  attach(message: HeapMessage): void {
    // It sleeps on shared memory and hears no message until it is told to listen.
    this.port.post(message);
    this.post({code: CODES.listen, heap: 0, args: [], parallel: null});
  }

  /** Appends a command; waits where the ring is full. */
  post({code, heap, args, parallel}: Command): void {
    if (this.isStopped) throw this.gone('one that was stopped');
    if (this.posted - this.finished >= SLOTS) this.waitFor(this.posted - SLOTS + 1);
    const at = (this.posted & (SLOTS - 1)) * WIDTH;
    const {commands} = this;
    commands[at + COMMAND.code] = code;
    commands[at + COMMAND.heap] = heap;
    commands[at + COMMAND.count] = args.length;
    commands[at + COMMAND.job] = parallel?.job ?? -1;
    if (parallel !== null) {
      commands[at + COMMAND.end] = parallel.end;
      commands[at + COMMAND.chunk] = parallel.chunk;
      commands[at + COMMAND.beginAt] = parallel.beginAt;
      commands[at + COMMAND.endAt] = parallel.endAt;
      commands[at + COMMAND.scratchAt] = parallel.scratchAt;
      commands[at + COMMAND.scratchStep] = parallel.scratchStep;
      commands[at + COMMAND.begin] = parallel.begin;
      commands[at + COMMAND.moveAt] = parallel.moveAt;
      commands[at + COMMAND.moveStep] = parallel.moveStep;
    }
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
    for (let spin = 0; this.finished < count; spin++) {
      if (spin < 200 || !MAY_SLEEP) continue;
      const now = Atomics.load(this.control, CONTROL.finished);
      if (this.finished < count && Atomics.wait(this.control, CONTROL.finished, now, PATIENCE_MS) === 'timed-out')
        throw this.gone('no answer');
    }
    this.assertWell();
  }

  /** As waitFor, without holding up the thread. */
  async waitForAsync(count = this.posted): Promise<void> {
    while (this.finished < count) await this.nextChange(CONTROL.finished, Atomics.load(this.control, CONTROL.finished));
    this.assertWell();
  }

  /** Ends the worker once it has done what was posted. */
  stop(): void {
    if (this.isStopped) return;
    this.post({code: CODES.stop, heap: 0, args: [], parallel: null});
    this.isStopped = true;
    this.port.stop();
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

  private async becomes(field: number, value: number): Promise<void> {
    while (Atomics.load(this.control, field) !== value) await this.nextChange(field, Atomics.load(this.control, field));
  }

  private async nextChange(field: number, now: number): Promise<void> {
    const waitAsync = (Atomics as {waitAsync?: WaitAsync}).waitAsync;
    const waiting = waitAsync?.(this.control, field, now, 1000);
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
}

type WaitAsync = (array: Int32Array, at: number, value: number, timeout: number) => {async: boolean; value: Promise<string> | string};

async function nodePort(): Promise<Port> {
  // Not a literal: a page's bundle must not hold Node's module.
  const name = 'node:worker_threads';
  const {Worker} = (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as typeof import('node:worker_threads');
  const worker = new Worker(NODE_SOURCE, {eval: true});
  // A process may end while its workers sleep.
  worker.unref();
  return {post: (message) => worker.postMessage(message), stop: () => undefined};
}

function pagePort(): Port {
  const url = URL.createObjectURL(new Blob([PAGE_SOURCE], {type: 'text/javascript'}));
  const worker = new Worker(url);
  URL.revokeObjectURL(url);
  return {post: (message) => worker.postMessage(message), stop: () => undefined};
}
