/** Times products of packed weights beside tf.js float32 on the current backend, everything in the same interleaved rounds. */
import * as tf from '@tensorflow/tfjs';
import {type InputQuantization, ops, QuantizedWeight} from '../../src/index.js';
import {rowErrors} from '../support/errors.js';
import {variantsOf} from '../support/variants.js';
import type {BenchCase, BenchGroup} from './bench_cases.js';
import {atFullRate, goesOn, median, type Pace, type Patience, patience, type Sample, type Timing, timingOf} from './bench_quiet.js';
import {groupColumns, groupingOf, layoutOf, randomWords, resized} from './bench_weights.js';
import {caseNamed} from './cases.js';
import {randomX, seeded} from './layouts.js';

export interface BenchRow extends Omit<Timing, 'name'> {
  readonly case: string;
  readonly where: 'node' | 'browser';
  readonly backend: string;
  readonly format: string;
  /** What x is rounded to before the product; null: as the kernel does by itself. */
  readonly input: 'int8' | null;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Threads that ours ran on. */
  readonly threads: number;
  readonly variant: string;
  /** Of the packed weight. */
  readonly weightBytes: number;
  /** The faster of tf.js's two layouts. */
  readonly baseline: Timing;
  /** Both. */
  readonly baselines: readonly Timing[];
  /** Of another runtime, in the same rounds. */
  readonly peers: readonly Timing[];
  /** Ours over the baseline. */
  readonly ratio: number;
  /** Relative error of ours on sampled rows of the weight, x as it was before any rounding. */
  readonly error: number;
}

export interface BenchOptions {
  readonly where: BenchRow['where'];
  /** N and K, where a group does not say otherwise. */
  readonly size: number;
  readonly rounds: number | null;
  readonly variant: string | null;
  /** Of ours. */
  readonly threads: number;
  /** Products of another runtime, timed in the same rounds; null: none. */
  readonly peer: PeerProducts | null;
  readonly pace: Pace;
}

/** Another runtime's products x . W^T of its own random weights: x as it holds it → y on the host. */
export type PeerProducts = (
  x: Float32Array,
  m: number,
  n: number,
  k: number,
  threads: number,
) => Promise<{name: string; run: () => Promise<unknown>}[]>;

interface Runner {
  readonly name: string;
  readonly run: () => tf.Tensor | Promise<unknown>;
  readonly samples: Sample[];
}

/** A product and its numbers on the host, as a program that uses them waits for them. */
async function once({run}: Runner): Promise<number> {
  const start = performance.now();
  const y = await run();
  if (!(y instanceof tf.Tensor)) return performance.now() - start;
  await y.data();
  const end = performance.now();
  y.dispose();
  return end - start;
}

/** As many times the other's: a baseline that is left out of later rounds. */
const CLEARLY_SLOWER = 2;

interface Turns extends Patience {
  readonly burst: number;
  /** Before each probe: threads of ours and of another runtime spin for a while after their work. */
  readonly restMs: number;
  readonly pace: Pace;
}

const medianOf = ({samples}: Runner) => median(samples.map(({ms}) => ms));

/**
 * Every runner once for warmth, then rounds in a new order each: one run untimed (of short ones), then timed ones, and a probe before and after.
 * Baselines run in every round; of ours those that have too few samples at the full rate.
 */
async function interleave(ours: readonly Runner[], baselines: readonly Runner[], turns: Turns): Promise<void> {
  const {burst, restMs, pace} = turns;
  for (const runner of [...baselines, ...ours]) await once(runner);
  const random = seeded(ours.length);
  const probe = async () => {
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    return pace.probe();
  };
  const roundsOf = ({samples}: Runner) => atFullRate(samples, pace.bestMs).length / burst;
  let live = [...baselines, ...ours];
  const start = performance.now();
  const fewest = () => Math.min(...live.map(roundsOf));
  for (let round = 0; goesOn(turns, round, fewest(), performance.now() - start); round++) {
    const order = live.map((runner) => ({runner, key: random()})).sort((a, b) => a.key - b.key);
    let before = await probe();
    for (const {runner} of order) {
      if (burst > 1) await once(runner);
      const times: number[] = [];
      for (let i = 0; i < burst; i++) times.push(await once(runner));
      const after = await probe();
      for (const ms of times) runner.samples.push({ms, probeMs: Math.max(before, after)});
      before = after;
    }
    const fastest = Math.min(...baselines.map(medianOf));
    live = live.filter((runner) =>
      baselines.includes(runner)
        ? medianOf(runner) <= CLEARLY_SLOWER * fastest
        : round + 1 < turns.enough || roundsOf(runner) < turns.enough,
    );
  }
}

/** Largest relative error over the first and last row of x and 16 rows of the weight. */
export async function sampledError(weight: QuantizedWeight, x: Float32Array, y: Float32Array): Promise<number> {
  const [n, k] = weight.shape;
  const rows = Array.from({length: Math.min(16, n)}, (_, i) => Math.floor((i * (n - 1)) / 15));
  const w = await tf.tidy(() => weight.dequantizeRows(rows)).data();
  const m = x.length / k;
  const [got, want]: [number[], number[]] = [[], []];
  for (const row of m === 1 ? [0] : [0, m - 1]) {
    rows.forEach((r, i) => {
      let sum = 0;
      for (let c = 0; c < k; c++) sum += (x[row * k + c] as number) * (w[i * k + c] as number);
      want.push(sum);
      got.push(y[row * n + r] as number);
    });
  }
  return rowErrors(got, want, rows.length);
}

/** Rounding to 8 bits, a block of x for each group of the weight: numbers in [-1, 1) then miss by 4e-3 of their norm. */
const INT8_BOUND = 1e-2;

/** What is asked of the product of a case, and how large its error may be. */
async function productOf({name, input}: BenchCase, n: number, k: number, m: number) {
  const c = caseNamed(name);
  const layout = resized(await layoutOf(c), n, k);
  const block = input === undefined ? 0 : groupColumns(layout);
  const inputQuantization: InputQuantization | 'none' =
    input === undefined ? 'none' : {dtype: input, origin: 'dynamic', granularity: 'block', block};
  const {variant, bound} = variantsOf(tf.getBackend()).choose(layout, m, 'auto', block);
  const format = [c.format, groupingOf(layout), input === undefined ? '' : `x ${input}`].filter((part) => part !== '').join(', ');
  return {layout, inputQuantization, variant, bound: input === undefined ? bound : INT8_BOUND, format, input: input ?? null};
}

interface Measured extends Pick<BenchRow, 'format' | 'input' | 'variant' | 'error' | 'weightBytes'> {
  readonly weight: QuantizedWeight;
  readonly runner: Runner;
}

/**
 * All formats of a group at one shape. → makes the rows: which samples count is known when the shortest probe of the run is.
 * Throws where ours is wrong: wrong numbers have no speed.
 */
export async function runGroup(group: BenchGroup, options: BenchOptions): Promise<() => BenchRow[]> {
  const {where, pace} = options;
  const {rows: m} = group;
  const [n, k] = [group.outDim ?? 1, group.inDim ?? 1].map((part) => Math.round((part * options.size) / 256) * 256) as [number, number];
  const backend = tf.getBackend();
  const variants = variantsOf(backend);
  const xValues = randomX(m, k);
  const x = tf.tensor2d(xValues, [m, k]);
  const dense = tf.tidy(() => tf.randomUniform([n * k], -0.1, 0.1, 'float32', 1));
  // The same memory in either shape.
  const layouts = [tf.reshape(dense, [k, n]), tf.reshape(dense, [n, k])];
  const baselines: Runner[] = [
    {name: 'tf.matMul [K,N]', run: () => tf.matMul(x, layouts[0] as tf.Tensor2D), samples: []},
    {name: 'tf.matMul [N,K]', run: () => tf.matMul(x, layouts[1] as tf.Tensor2D, false, true), samples: []},
  ];
  const weights: Measured[] = [];
  variants.force(options.variant);
  try {
    for (const c of group.cases) {
      const {layout, inputQuantization, bound, ...told} = await productOf(c, n, k, m);
      const weight = QuantizedWeight.fromWords(layout, randomWords(layout));
      const run = () => ops.quantizedMatMul(x, weight, {inputQuantization});
      const y = run();
      const error = await sampledError(weight, xValues, (await y.data()) as Float32Array);
      y.dispose();
      if (!(error <= bound)) throw new Error(`${group.name}, ${c.name} on ${backend}: error ${error} over ${bound}`);
      weights.push({...told, weight, weightBytes: weight.byteLength, error, runner: {name: c.name, run, samples: []}});
    }
    const burst = m === 1 ? 3 : 1;
    const enough = options.rounds ?? (m > 128 ? 3 : 7);
    const others = (await options.peer?.(xValues, m, n, k, options.threads)) ?? [];
    const peers = others.map((other): Runner => ({...other, samples: []}));
    const restMs = peers.length > 0 ? 20 : options.threads > 1 ? 5 : 0;
    await interleave([...weights.map(({runner}) => runner), ...peers], baselines, {...patience(enough), burst, restMs, pace});
    const shape = {M: m, N: n, K: k, threads: options.threads};
    return () => {
      const timing = ({name, samples}: Runner) => timingOf(name, samples, pace.bestMs);
      const sorted = baselines.map(timing).sort((a, b) => a.medianMs - b.medianMs);
      const baseline = sorted[0] as Timing;
      const found = peers.map(timing);
      return weights.map(({weight: _, runner, ...told}) => {
        const {name: _name, ...ours} = timing(runner);
        const ratio = ours.medianMs / baseline.medianMs;
        return {case: group.name, where, backend, ...told, ...shape, ...ours, baseline, baselines: sorted, peers: found, ratio};
      });
    };
  } finally {
    variants.force(null);
    for (const {weight} of weights) weight.dispose();
    tf.dispose([x, dense, layouts]);
  }
}
