/** The bench of one backend, as scripts/bench.mjs calls it in a process or a page of its own. */
import {setThreadsCount} from '@tensorflow/tfjs-backend-wasm';
import {loadTensorflow} from '../../kernels/tensorflow/load.js';
import {startThreads, stopThreads} from '../../src/index.js';
import {IN_BROWSER} from '../support/environment.js';
import {startBackend} from '../support/start.js';
import {benchGroups, benchNames} from './bench_cases.js';
import {benchChat} from './bench_chat.js';
import {benchLoading} from './bench_loading.js';
import {type Machine, measureMachine, type Probes} from './bench_machine.js';
import {type BenchRow, median, runGroup} from './bench_run.js';
import {writeLoadingModels} from './loading_models.js';

export interface BenchRequest {
  readonly backend: string;
  readonly cases: readonly string[];
  readonly size: number | null;
  readonly rounds: number | null;
  readonly threads: number | null;
  readonly variant: string | null;
  /** The probes of scripts/bench_probe.mjs, or null: the machine is not measured. */
  readonly probe: Probes | null;
  /** Where onnxruntime-node is, to be timed beside; null: it is not. */
  readonly peer: {readonly runtime: string; readonly writer: string} | null;
}

/** A number of threads is set once a process or page. → threads that ours run on. */
async function setThreads(backend: string, threads: number | null): Promise<number> {
  if (backend === 'tensorflow' && !IN_BROWSER) return Math.max(1, (await loadTensorflow(threads ?? undefined)).threads);
  if (backend === 'wasm' && threads !== null && threads > 1) return startThreads(threads);
  return 1;
}

export interface BenchAnswer {
  readonly rows: readonly BenchRow[];
  /** What was asked for and did not run, with the reason. */
  readonly skipped: readonly string[];
  /** Median over minimum of a fixed loop before and after every group: 1 on a quiet machine. */
  readonly noise: number;
  /** What one thread can do here; null where it was not asked for. */
  readonly limits: Machine | null;
}

/** N = K: what each backend can do in a time worth waiting for. GPUs here may be emulated on a CPU. */
const SIZES: Readonly<Record<string, number>> = {cpu: 512, wasm: 4096, webgl: 2048, webgpu: 2048, tensorflow: 4096};

function fixedLoop(): number {
  const start = performance.now();
  let sum = 0;
  for (let i = 0; i < 3_000_000; i++) sum = (sum * 1.0000001 + i) % 1000;
  if (sum < 0) throw new Error('unreachable');
  return performance.now() - start;
}

/**
 * tf.js's own threads spin for some time after each of its products and would take the cores from ours: a page that starts threads of ours leaves
 * tf.js one, and so does the bench.
 */
const TFJS_THREADS = 1;

/** The baseline of rows on several threads has one. */
function named<T extends {backend: string; threads: number; baseline: {name: string}}>(rows: readonly T[]): T[] {
  const isOther = ({backend, threads}: T) => backend === 'wasm' && threads > TFJS_THREADS;
  return rows.map((row) => (isOther(row) ? {...row, baseline: {...row.baseline, name: `${row.baseline.name}, one thread`}} : row));
}

export async function bench(request: BenchRequest): Promise<BenchAnswer> {
  const {backend, cases, threads, probe} = request;
  if (threads !== null && backend === 'wasm') setThreadsCount(TFJS_THREADS);
  const failure = await startBackend(backend);
  if (failure !== null) return {rows: [], skipped: [`${backend}: ${failure}`], noise: 1, limits: null};
  const ownThreads = await setThreads(backend, threads);
  const where = IN_BROWSER ? 'browser' : 'node';
  const peer = request.peer === null || IN_BROWSER ? null : await (await import('./bench_peer_node.js')).onnxProducts(request.peer);
  const rows: BenchRow[] = [];
  const skipped: string[] = [];
  const loops = Array.from({length: 5}, fixedLoop);
  for (const group of benchGroups(cases)) {
    try {
      const size = request.size ?? SIZES[backend] ?? 2048;
      rows.push(...(await runGroup(group, {where, size, rounds: request.rounds, variant: request.variant, threads: ownThreads, peer})));
    } catch (error) {
      skipped.push(`${backend}, ${group.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    loops.push(...Array.from({length: 5}, fixedLoop));
  }
  const limits = probe === null || backend !== 'wasm' ? null : await measureMachine(probe);
  if (ownThreads > 1 && backend === 'wasm') await stopThreads();
  return {
    rows: named(rows),
    skipped,
    noise: median(loops) / Math.min(...loops),
    limits,
  };
}

/** The chat model on one backend. */
async function chat(request: {backend: string; source: string; threads: number | null; rounds: number | null}): Promise<object> {
  const {backend, source, threads, rounds} = request;
  if (threads !== null && backend === 'wasm') setThreadsCount(TFJS_THREADS);
  const failure = await startBackend(backend);
  if (failure !== null) return {rows: [], skipped: [`${backend}: ${failure}`]};
  const count = await setThreads(backend, threads);
  const rows = await benchChat(source, count, rounds);
  if (count > 1 && backend === 'wasm') await stopThreads();
  return {rows: named(rows), skipped: []};
}

Object.assign(globalThis, {
  tflBench: bench,
  tflBenchNames: async () => benchNames(),
  tflBenchChat: chat,
  tflBenchLoading: benchLoading,
  tflWriteLoadingModels: writeLoadingModels,
});
