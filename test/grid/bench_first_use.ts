/** The first product in a page: how long it takes and for how long the page is frozen, with nothing compiled yet, after warmUp(), and in tf.js float32. */
import * as tf from '@tensorflow/tfjs';
import {nextTurn} from '../../examples/chat/turn.js';
import {ops, QuantizedWeight, warmUp} from '../../src/index.js';
import {IN_BROWSER} from '../support/environment.js';
import {startBackend} from '../support/start.js';
import {median} from './bench_quiet.js';
import {sampledError} from './bench_run.js';
import {type LongestTask, watchTasks} from './bench_tasks.js';
import {groupingOf, layoutOf, randomWords, resized} from './bench_weights.js';
import {caseNamed} from './cases.js';
import {randomX} from './layouts.js';

/** What came before the product: nothing, warmUp(), or it is tf.js's own. */
export type Start = 'cold' | 'warmUp' | 'float32';

export interface FirstUseRequest {
  readonly backend: string;
  readonly start: Start;
  /** Of x. */
  readonly rows: number;
  /** N and K. */
  readonly size: number;
}

/** Milliseconds; of the longest task as bench_tasks.ts says. */
export interface FirstUseRow {
  readonly case: 'first-use';
  readonly where: 'node' | 'browser';
  readonly backend: string;
  readonly format: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly threads: 1;
  readonly start: Start;
  /** warmUp() itself; null where it was not called. */
  readonly warmUpMs: number | null;
  readonly warmUpLongestTaskMs: LongestTask;
  /** The first product, up to its numbers on the host. */
  readonly firstMs: number;
  readonly longestTaskMs: LongestTask;
  /** Products after it, the median. */
  readonly laterMs: number;
}

const WEIGHT = caseNamed('gptq_b4_g128_sym_v1_bias');
const LATER = 5;
const BOUND = 1e-3;

/** Made on the cpu backend, so that nothing runs on another before it is timed. */
async function weightOf(size: number) {
  await tf.setBackend('cpu');
  const layout = resized(await layoutOf(WEIGHT), size, size);
  return {layout, words: randomWords(layout), format: `${WEIGHT.format}, ${groupingOf(layout)}`};
}

async function timed(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** Wants a page, and in it a browser, that has not computed before. */
export async function benchFirstUse({backend, start, rows: m, size}: FirstUseRequest): Promise<{rows: FirstUseRow[]; skipped: string[]}> {
  const {layout, words, format} = await weightOf(size);
  const failure = await startBackend(backend);
  if (failure !== null) return {rows: [], skipped: [`${backend}: ${failure}`]};
  const xValues = randomX(m, size);
  const x = tf.tensor2d(xValues, [m, size]);
  const weight = QuantizedWeight.fromWords(layout, words);
  const dense = start === 'float32' ? tf.tensor2d(new Float32Array(size * size).fill(0.1), [size, size]) : null;
  let values: Float32Array = new Float32Array();
  const product = async () => {
    const y = dense === null ? ops.quantizedMatMul(x, weight) : tf.matMul(x, dense);
    values = (await y.data()) as Float32Array;
    y.dispose();
  };
  const tasks = watchTasks();
  await nextTurn();
  await tasks.longest();
  const warmUpMs = start === 'warmUp' ? await timed(() => warmUp(weight, {rows: [m]})) : null;
  const warmUpLongestTaskMs = await tasks.longest();
  const firstMs = await timed(product);
  const longestTaskMs = await tasks.longest();
  tasks.stop();
  const later: number[] = [];
  for (let i = 0; i < LATER; i++) later.push(await timed(product));
  if (dense === null) {
    const error = await sampledError(weight, xValues, values);
    if (!(error <= BOUND)) throw new Error(`first product on ${backend}: error ${error} over ${BOUND}`);
  }
  weight.dispose();
  tf.dispose([x, dense as tf.Tensor]);
  const shape = {M: m, N: size, K: size, threads: 1 as const};
  const found = {start, warmUpMs, warmUpLongestTaskMs, firstMs, longestTaskMs, laterMs: median(later)};
  const row = {case: 'first-use' as const, where: IN_BROWSER ? ('browser' as const) : ('node' as const), backend, ...shape, ...found};
  return {rows: [{...row, format: dense === null ? format : 'tf.js float32'}], skipped: []};
}
