/** Times opening a model, every layer on its device, beside plainly reading and copying the same bytes. */
import {openCheckpoint} from '../../src/index.js';
import {IN_BROWSER} from '../support/environment.js';
import {startBackend} from '../support/start.js';
import {atFullRate, goesOn, type Pace, patience, type Sample, timingOf} from './bench_quiet.js';
import type {BenchRow} from './bench_run.js';
import {type LongestTask, longestOf, watchTasks} from './bench_tasks.js';

/** A model in a folder: a path in Node, a URL in a page. */
export interface LoadingSource {
  readonly format: string;
  readonly source: string;
  /** Files with tensors, under `source`. */
  readonly files: readonly string[];
}

export interface LoadingRequest {
  readonly backend: string;
  readonly models: readonly LoadingSource[];
  readonly rounds: number | null;
  readonly pace: Pace;
}

/** As BenchRow, with what a load is about. */
export interface LoadingRow extends Omit<BenchRow, 'M' | 'N' | 'K' | 'variant' | 'error' | 'input' | 'weightBytes'> {
  readonly M: null;
  readonly N: null;
  readonly K: null;
  readonly bytes: number;
  readonly megabytesPerSecond: number;
  /** Milliseconds for which the page was frozen at the most. */
  readonly longestTaskMs: LongestTask;
}

const PIECE = 16 * 2 ** 20;

/** For how long a slow machine is waited for, a model: there are several, and the bench says how many samples counted. */
const WAIT_MS = 4000;

/** Reads the files piece by piece with the platform's own call and copies every piece. → bytes */
async function readAndCopy({source, files}: LoadingSource): Promise<number> {
  let total = 0;
  for (const file of files) {
    const copy = await (IN_BROWSER ? fetched(`${source}/${file}`) : fromDisk(`${source}/${file}`));
    total += copy.length;
  }
  return total;
}

async function fromDisk(path: string): Promise<Uint8Array> {
  const fs = await import('node:fs/promises');
  const handle = await fs.open(path, 'r');
  try {
    const {size} = await handle.stat();
    const copy = new Uint8Array(size);
    for (let at = 0; at < size; at += PIECE) {
      const piece = new Uint8Array(Math.min(PIECE, size - at));
      await handle.read(piece, 0, piece.length, at);
      copy.set(piece, at);
    }
    return copy;
  } finally {
    await handle.close();
  }
}

async function fetched(url: string): Promise<Uint8Array> {
  const response = await fetch(url);
  const copy = new Uint8Array(Number(response.headers.get('Content-Length')));
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (let at = 0; ; ) {
    const {value, done} = await reader.read();
    if (done) return copy;
    copy.set(value, at);
    at += value.length;
  }
}

interface Part {
  readonly name: string;
  readonly isLayer: boolean;
}

/** Modules, and tensors that belong to none, as a model is loaded: layer by layer, in the file's order within one. */
function partsOf(names: readonly string[]): Part[] {
  const parts = new Map<string, Part>();
  for (const name of names) {
    const isLayer = !/norm\.weight$|^rope_freqs/.test(name);
    const part = isLayer ? name.slice(0, name.lastIndexOf('.')) : name;
    parts.set(part, {name: part, isLayer});
  }
  const layer = ({name}: Part) => Number(/\.(\d+)\./.exec(`.${name}.`)?.[1] ?? -1);
  return [...parts.values()].sort((a, b) => layer(a) - layer(b));
}

async function load({source, files}: LoadingSource): Promise<void> {
  const single = files.length === 1 && (files[0] as string).endsWith('.gguf');
  const checkpoint = await openCheckpoint(single ? `${source}/${files[0]}` : source);
  const made: {dispose(): unknown}[] = [];
  for (const {name, isLayer} of partsOf(checkpoint.names())) made.push(await (isLayer ? checkpoint.linear(name) : checkpoint.tensor(name)));
  await checkpoint.close();
  for (const each of made) each.dispose();
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** The rows of all models on one backend. */
export async function benchLoading({backend, models, rounds, pace}: LoadingRequest): Promise<{rows: LoadingRow[]; skipped: string[]}> {
  const failure = await startBackend(backend);
  if (failure !== null) return {rows: [], skipped: [`${backend}: ${failure}`]};
  const made: (() => LoadingRow)[] = [];
  const skipped: string[] = [];
  const tasks = watchTasks();
  for (const model of models) {
    try {
      const [ours, plain]: [Sample[], Sample[]] = [[], []];
      const frozen: LongestTask[] = [];
      const bytes = await readAndCopy(model);
      await load(model);
      const counted = () => Math.min(...[ours, plain].map((samples) => atFullRate(samples, pace.bestMs).length));
      const start = performance.now();
      for (let round = 0; goesOn(patience(rounds ?? 5, WAIT_MS), round, counted(), performance.now() - start); round++) {
        plain.push(await pace.sample(() => timed(() => readAndCopy(model))));
        await tasks.longest();
        ours.push(await pace.sample(() => timed(() => load(model))));
        frozen.push(await tasks.longest());
      }
      made.push(() => {
        const baseline = timingOf('read and copy', plain, pace.bestMs);
        const {name: _, ...timing} = timingOf('load', ours, pace.bestMs);
        return {
          case: 'loading',
          where: IN_BROWSER ? 'browser' : 'node',
          backend,
          format: model.format,
          M: null,
          N: null,
          K: null,
          threads: 1,
          bytes,
          megabytesPerSecond: bytes / 1000 / timing.medianMs,
          longestTaskMs: longestOf(frozen),
          ...timing,
          baseline,
          baselines: [baseline],
          peers: [],
          ratio: timing.medianMs / baseline.medianMs,
        };
      });
    } catch (error) {
      skipped.push(`${backend}, loading ${model.format}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  tasks.stop();
  return {rows: made.map((row) => row()), skipped};
}
