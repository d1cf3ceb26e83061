/** Products on several threads: one call turns them on for every layer on tf.js's wasm backend. */
import {compiled, findMemory, replaceHeap, type WasmBackend} from '../../kernels/wasm/module.js';
import {ArgumentError} from '../errors.js';
import {inNode, nodeModule} from '../io/node_module.js';
import {commonPool, WorkerPool} from './pool.js';
import {sharedWasmBackend} from './shared_wasm.js';
import {Team} from './team.js';
import {LEAST_COSTS, type LeastCosts, ThreadedHeap} from './threaded_heap.js';
import {Trial} from './trial.js';
import type {WorkerThread} from './worker_thread.js';

const MOST_THREADS = 32;

/** Threads where nobody says how many, at most: decoding a token is bound by memory, which few threads fill. */
const DEFAULT_THREADS = 4;

/** How long workers spin after a call: the steps of one token are closer together than that. */
const SPIN_MS = 3;

interface Running {
  readonly backend: WasmBackend;
  readonly team: Team;
}

interface TeamOptions {
  threads: number;
  spinMs?: number;
  least?: LeastCosts;
  /** Calls are shared only while that is faster. */
  adapts?: boolean;
}

let running: Running | null = null;

/** Starts and stops one after the other. */
let turn: Promise<unknown> = Promise.resolve();

/**
 * Every product on tf.js's wasm backend is shared by this many threads from now on, the calling one included; without a number by as many as there
 * are cores, at most 4. Values are the same, bit for bit. Weights stay where they are: the memory of the backend is shared with workers (Node's
 * worker threads, a page's Web Workers), in Node after copying it once into a memory that can be, so it is best called before weights are loaded.
 * 1 is the same as `stopThreads()`. On an isolated page tf.js starts threads of its own, which spin between its products and take the cores from
 * these: call its `setThreadsCount(1)` before the backend starts.
 * @returns the number of threads
 * Throws DeviceError where threads cannot share memory (a page has to be cross-origin isolated) or tf.js's wasm backend is not there.
 *
 * ```js
 * await tfl.startThreads(2); // 2
 * const layer = new tfl.Linear({inDim: 4, outDim: 6, device: 'wasm'});
 * layer.forward(tf.ones([2, 4])).shape; // [2, 6]
 * await tfl.stopThreads();
 * ```
 */
export async function startThreads(threads?: number): Promise<number> {
  const count = threads ?? Math.min(DEFAULT_THREADS, await coreCount());
  if (!Number.isInteger(count) || count < 1 || count > MOST_THREADS) {
    throw new ArgumentError({where: 'startThreads', expected: `a whole number from 1 to ${MOST_THREADS}`, received: String(threads)});
  }
  return startTeam({threads: count});
}

/**
 * Products are made on the calling thread alone again. The workers have ended when the promise resolves.
 *
 * ```js
 * await tfl.startThreads(2);
 * await tfl.stopThreads();
 * tfl.threadCount(); // 1
 * ```
 */
export function stopThreads(): Promise<void> {
  return inTurn(stop);
}

/**
 * Threads that share products on tf.js's wasm backend now: 1 where none were started.
 *
 * ```js
 * await tfl.startThreads(2);
 * tfl.threadCount(); // 2
 * await tfl.stopThreads();
 * ```
 */
export function threadCount(): number {
  return running === null ? 1 : running.team.threads.length + 1;
}

/** startThreads with what tests and trials change. */
export function startTeam({threads, spinMs = SPIN_MS, least = LEAST_COSTS, adapts = true}: TeamOptions): Promise<number> {
  return inTurn(() => start({threads, spinMs, least, adapts}));
}

function inTurn<T>(f: () => Promise<T>): Promise<T> {
  const result = turn.then(f);
  turn = result.catch(() => undefined);
  return result;
}

async function start({threads: count, spinMs, least, adapts}: Required<TeamOptions>): Promise<number> {
  await stop();
  if (count === 1) return 1;
  WorkerPool.assertSupported('startThreads');
  const backend = await sharedWasmBackend();
  const pool = await commonPool();
  const workers: WorkerThread[] = [];
  try {
    for (let i = 1; i < count; i++) workers.push(await pool.grow());
    const team = new Team(workers, spinMs);
    pool.attach(compiled(true).module, findMemory(backend), workers, (worker) => team.dataFor(worker));
    await team.ready();
    const onLost = (): void => {
      if (running?.team === team) running = null;
      void end(team);
    };
    replaceHeap(backend, new ThreadedHeap(backend, team, least, adapts ? new Trial(spinMs + 1) : null, onLost));
    running = {backend, team};
    return count;
  } catch (error) {
    await Promise.all(workers.map((worker) => pool.remove(worker)));
    throw error;
  }
}

async function stop(): Promise<void> {
  if (running === null) return;
  const {backend, team} = running;
  running = null;
  replaceHeap(backend, null);
  await end(team);
}

async function end(team: Team): Promise<void> {
  team.end();
  const pool = await commonPool();
  await Promise.all(team.threads.map((thread) => pool.remove(thread)));
}

async function coreCount(): Promise<number> {
  if (inNode()) return (await nodeModule('node:os')).availableParallelism();
  return globalThis.navigator.hardwareConcurrency;
}
