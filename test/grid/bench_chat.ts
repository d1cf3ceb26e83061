/** Times the chat model (examples/chat): a prompt of 128 tokens, then 64 tokens one by one, beside its matrices' products alone in tf.js float32. */
import * as tf from '@tensorflow/tfjs';
import {loadLlama} from '../../examples/chat/load.js';
import type {Llama} from '../../examples/chat/model.js';
import {nextTurn} from '../../examples/chat/turn.js';
import {openCheckpoint} from '../../src/index.js';
import {IN_BROWSER} from '../support/environment.js';
import {countWork} from '../support/webgpu.js';
import {atFullRate, goesOn, type Pace, patience, type Sample, type Timing, timingOf} from './bench_quiet.js';
import type {BenchRow} from './bench_run.js';
import {type LongestTask, longestOf, type Tasks, watchTasks} from './bench_tasks.js';

const PROMPT_TOKENS = 128;
const NEW_TOKENS = 64;
/** Of the rounds, which are some seconds each. */
const LIMIT_MS = 40_000;

/** As BenchRow; a decode row is one token. */
export type ChatRow = Omit<BenchRow, 'N' | 'K' | 'variant' | 'error' | 'input'> & {
  readonly N: null;
  readonly K: null;
  readonly tokensPerSecond: number;
  /** Of one token on webgpu; null for a prompt and elsewhere. */
  readonly dispatches: number | null;
  /** Milliseconds for which the page was frozen at the most, while nothing had been compiled yet, and later. See bench_tasks.ts. */
  readonly firstLongestTaskMs: LongestTask;
  readonly longestTaskMs: LongestTask;
};

/** Any ids make the same work. */
const promptIds = Array.from({length: PROMPT_TOKENS}, (_, i) => 1000 + ((i * 7919) % 40_000));

interface Answer {
  readonly prefill: Sample;
  readonly decode: readonly Sample[];
  readonly vocabulary: number;
  /** The longest task of each phase. */
  readonly tasks: {readonly prefill: LongestTask; readonly decode: LongestTask};
}

async function answer(model: Llama, tasks: Tasks, pace: Pace): Promise<Answer> {
  const cache = model.createCache();
  const samples: Sample[] = [];
  let vocabulary = 0;
  let next: readonly number[] = promptIds;
  let prefillTask: LongestTask = null;
  let before = pace.probe();
  await tasks.longest();
  for (let i = 0; i <= NEW_TOKENS; i++) {
    const start = performance.now();
    const logits = await model.forwardAsync(next, cache);
    const best = tf.argMax(logits, 1);
    vocabulary = logits.shape[1];
    next = Array.from(await best.data());
    const ms = performance.now() - start;
    tf.dispose([logits, best]);
    // As a page does after each token, to show it.
    if (i === 0) prefillTask = await tasks.longest();
    else await nextTurn();
    const after = pace.probe();
    samples.push({ms, probeMs: Math.max(before, after)});
    before = after;
  }
  cache.dispose();
  const [prefill, ...decode] = samples as [Sample, ...Sample[]];
  return {prefill, decode, vocabulary, tasks: {prefill: prefillTask, decode: await tasks.longest()}};
}

interface Matrices {
  /** One pass in float32 with m rows of x, the matrices as W [N, K] or as W [K, N]. → ms */
  pass(m: number, transposed: boolean): Promise<number>;
  dispose(): void;
}

/** Matrices of the model's shapes in float32: every layer its own, as its bytes have to be read. */
function float32Matrices({config}: Llama, vocabulary: number): Matrices {
  const {hiddenDim, feedForwardLength, layerCount, headCount, keyHeadCount, headDim} = config;
  const qkv = (headCount + 2 * keyHeadCount) * headDim;
  const layer: [number, number][] = [
    [qkv, hiddenDim],
    [hiddenDim, headCount * headDim],
    [2 * feedForwardLength, hiddenDim],
    [hiddenDim, feedForwardLength],
  ];
  const shapes = [...Array.from({length: layerCount}, () => layer).flat(), [vocabulary, hiddenDim] as [number, number]];
  const weights = shapes.map(([n, k]) => tf.randomUniform([n * k], -0.1, 0.1, 'float32', 1));
  const xs = new Map([...new Set(shapes.map(([, k]) => k))].map((k) => [k, tf.randomUniform([PROMPT_TOKENS, k], -1, 1, 'float32', 2)]));
  return {
    async pass(m, transposed) {
      const rows = new Map([...xs].map(([k, x]) => [k, tf.slice(x, [0, 0], [m, k]) as tf.Tensor2D]));
      const start = performance.now();
      const ys = shapes.map(([n, k], i) => {
        const all = rows.get(k) as tf.Tensor2D;
        return tf.tidy(() => {
          // Logits are those of the last position alone.
          const x = i === shapes.length - 1 ? tf.slice(all, [0, 0], [1, k]) : all;
          return tf.matMul(x, tf.reshape(weights[i] as tf.Tensor, transposed ? [n, k] : [k, n]) as tf.Tensor2D, false, transposed);
        });
      });
      await (ys[ys.length - 1] as tf.Tensor).data();
      const time = performance.now() - start;
      tf.dispose([ys, ...rows.values()]);
      return time;
    },
    dispose: () => tf.dispose([...weights, ...xs.values()]),
  };
}

/** Dispatches of one token, once the cache and shaders for it are there. */
async function dispatchesOf(model: Llama): Promise<number | null> {
  if (tf.getBackend().split(':')[0] !== 'webgpu') return null;
  const cache = model.createCache();
  const step = async (): Promise<void> => {
    const logits = await model.forwardAsync(promptIds.slice(0, 1), cache);
    const best = tf.argMax(logits, 1);
    await best.data();
    tf.dispose([logits, best]);
  };
  await step();
  const {dispatches} = await countWork(step);
  cache.dispose();
  return dispatches;
}

/** A phase of the model: so many tokens at a time. */
interface Phase {
  readonly name: 'prefill' | 'decode';
  readonly m: number;
  /** Passes of each baseline a round. */
  readonly passes: number;
  readonly ours: Sample[];
  readonly baselines: readonly {readonly name: string; readonly transposed: boolean; readonly samples: Sample[]}[];
}

const phaseOf = (name: Phase['name'], m: number, passes: number): Phase => ({
  name,
  m,
  passes,
  ours: [],
  baselines: [
    {name: 'tf.matMul float32 [K,N], its matrices alone', transposed: false, samples: []},
    {name: 'tf.matMul float32 [N,K], its matrices alone', transposed: true, samples: []},
  ],
});

/** The rows of both phases on the current backend: an answer of the model, then passes of the baselines, and so on. */
export async function benchChat(source: string, threads: number, rounds: number | null, pace: Pace): Promise<ChatRow[]> {
  const checkpoint = await openCheckpoint(source);
  const model = await loadLlama(checkpoint);
  await checkpoint.close();
  const tasks = watchTasks();
  let matrices: Matrices | null = null;
  try {
    const first = await answer(model, tasks, pace);
    matrices = float32Matrices(model, first.vocabulary);
    const [prefill, decode] = [phaseOf('prefill', PROMPT_TOKENS, 1), phaseOf('decode', 1, 5)];
    for (const {m, baselines} of [prefill, decode]) for (const {transposed} of baselines) await matrices.pass(m, transposed);
    const answers: Answer[] = [];
    const counted = () =>
      Math.min(
        ...[prefill, decode].flatMap(({ours, baselines}) =>
          [ours, ...baselines.map(({samples}) => samples)].map(
            (samples) => (answers.length * atFullRate(samples, pace.bestMs).length) / samples.length,
          ),
        ),
      );
    const start = performance.now();
    for (let round = 0; goesOn(patience(rounds ?? 3, LIMIT_MS), round, counted(), performance.now() - start); round++) {
      const found = await answer(model, tasks, pace);
      answers.push(found);
      prefill.ours.push(found.prefill);
      decode.ours.push(...found.decode);
      for (const {m, passes, baselines} of [prefill, decode]) {
        for (let i = 0; i < passes; i++) {
          for (const {transposed, samples} of baselines) samples.push(await pace.sample(() => (matrices as Matrices).pass(m, transposed)));
        }
      }
    }
    const dispatches = await dispatchesOf(model);
    return [prefill, decode].map(({name: phase, m, ours, baselines}): ChatRow => {
      const {name, ...timing} = timingOf(`chat-${phase}`, ours, pace.bestMs);
      const both = baselines.map((each) => timingOf(each.name, each.samples, pace.bestMs)).sort((a, b) => a.medianMs - b.medianMs);
      const baseline = both[0] as Timing;
      return {
        case: name,
        where: IN_BROWSER ? 'browser' : 'node',
        backend: tf.getBackend(),
        format: 'SmolLM2-135M, GGUF Q4_1',
        M: m,
        N: null,
        K: null,
        threads,
        weightBytes: model.bytes.weightBytes,
        tokensPerSecond: (1000 * m) / timing.medianMs,
        dispatches: m === 1 ? dispatches : null,
        firstLongestTaskMs: first.tasks[phase],
        longestTaskMs: longestOf(answers.map((a) => a.tasks[phase])),
        ...timing,
        baseline,
        baselines: both,
        peers: [],
        ratio: timing.medianMs / baseline.medianMs,
      };
    });
  } finally {
    tasks.stop();
    matrices?.dispose();
    model.dispose();
  }
}
