/** The bench of one backend, as scripts/bench.mjs calls it in a process or a page of its own. */
import {setThreadsCount} from '@tensorflow/tfjs-backend-wasm';
import {loadTensorflow} from '../../kernels/tensorflow/load.js';
import {startThreads, stopThreads} from '../../src/index.js';
import {IN_BROWSER} from '../support/environment.js';
import {startBackend} from '../support/start.js';
import {benchGroups, benchNames} from './bench_cases.js';
import {benchChat, type ChatRow} from './bench_chat.js';
import {benchFirstUse} from './bench_first_use.js';
import {benchLoading, type LoadingRequest} from './bench_loading.js';
import {type Machine, measureMachine, type Probes, startPace} from './bench_machine.js';
import {noiseOf, type Pace} from './bench_quiet.js';
import {type BenchRow, runGroup} from './bench_run.js';
import {writeLoadingModels} from './loading_models.js';

export interface BenchRequest {
  readonly backend: string;
  readonly cases: readonly string[];
  readonly size: number | null;
  readonly rounds: number | null;
  readonly threads: number | null;
  readonly variant: string | null;
  readonly probes: Probes;
  /** Whether the machine's own rates are measured too. */
  readonly machine: boolean;
  /** Where onnxruntime-node is, to be timed beside; null: it is not. */
  readonly peer: {readonly runtime: string; readonly writer: string} | null;
}

/** A number of threads is set once a process or page. → threads that ours run on. */
async function setThreads(backend: string, threads: number | null): Promise<number> {
  if (backend === 'tensorflow' && !IN_BROWSER) return Math.max(1, (await loadTensorflow(threads ?? undefined)).threads);
  if (backend === 'wasm' && threads !== null && threads > 1) return startThreads(threads);
  return 1;
}

/** The probe that samples lie between. */
interface Probe {
  readonly bestMs: number;
  /** Of bench_quiet.ts: 1 on a quiet machine. */
  readonly noise: number;
  readonly taken: number;
}

const probeOf = ({bestMs, probes}: Pace): Probe => ({bestMs, noise: noiseOf(probes), taken: probes.length});

export interface BenchAnswer {
  readonly rows: readonly BenchRow[];
  /** What was asked for and did not run, with the reason. */
  readonly skipped: readonly string[];
  /** null: nothing ran. */
  readonly probe: Probe | null;
  /** What one thread can do here; null where it was not asked for. */
  readonly limits: Machine | null;
}

/** N = K: what each backend can do in a time worth waiting for. GPUs here may be emulated on a CPU. */
const SIZES: Readonly<Record<string, number>> = {cpu: 512, wasm: 4096, webgl: 2048, webgpu: 2048, tensorflow: 4096};

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
  const {backend, cases, threads, probes} = request;
  if (threads !== null && backend === 'wasm') setThreadsCount(TFJS_THREADS);
  const failure = await startBackend(backend);
  if (failure !== null) return {rows: [], skipped: [`${backend}: ${failure}`], probe: null, limits: null};
  const ownThreads = await setThreads(backend, threads);
  const where = IN_BROWSER ? 'browser' : 'node';
  const peer = request.peer === null || IN_BROWSER ? null : await (await import('./bench_peer_node.js')).onnxProducts(request.peer);
  const made: (() => BenchRow[])[] = [];
  const skipped: string[] = [];
  const pace = await startPace(probes.plain);
  // First: it shows the machine's pace too.
  const limits = request.machine && backend === 'wasm' ? await measureMachine(probes, pace) : null;
  for (const group of benchGroups(cases)) {
    try {
      const size = request.size ?? SIZES[backend] ?? 2048;
      const {rounds, variant} = request;
      made.push(await runGroup(group, {where, size, rounds, variant, threads: ownThreads, peer, pace}));
    } catch (error) {
      skipped.push(`${backend}, ${group.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (ownThreads > 1 && backend === 'wasm') await stopThreads();
  const rows = made.flatMap((rowsOf) => rowsOf());
  return {rows: named(rows), skipped, probe: probeOf(pace), limits};
}

interface ChatRequest extends Pick<BenchRequest, 'backend' | 'threads' | 'rounds' | 'probes'> {
  readonly source: string;
}

/** The chat model on one backend. */
async function chat({backend, source, threads, rounds, probes}: ChatRequest): Promise<Omit<BenchAnswer, 'rows'> & {rows: ChatRow[]}> {
  if (threads !== null && backend === 'wasm') setThreadsCount(TFJS_THREADS);
  const failure = await startBackend(backend);
  if (failure !== null) return {rows: [], skipped: [`${backend}: ${failure}`], probe: null, limits: null};
  const count = await setThreads(backend, threads);
  const pace = await startPace(probes.plain);
  const rows = await benchChat(source, count, rounds, pace);
  if (count > 1 && backend === 'wasm') await stopThreads();
  return {rows: named(rows), skipped: [], probe: probeOf(pace), limits: null};
}

async function loading({probes, ...request}: Omit<LoadingRequest, 'pace'> & Pick<BenchRequest, 'probes'>) {
  const pace = await startPace(probes.plain);
  return {...(await benchLoading({...request, pace})), probe: probeOf(pace)};
}

Object.assign(globalThis, {
  tflBench: bench,
  tflBenchNames: async () => benchNames(),
  tflBenchChat: chat,
  tflBenchLoading: loading,
  tflBenchFirstUse: benchFirstUse,
  tflWriteLoadingModels: writeLoadingModels,
});
