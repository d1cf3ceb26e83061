/** Times the chat model (examples/chat): a prompt of 128 tokens, then 64 tokens one by one, beside its matrices' products alone in tf.js float32. */
import * as tf from '@tensorflow/tfjs';
import {loadLlama} from '../../examples/chat/load.js';
import type {Llama} from '../../examples/chat/model.js';
import {nextTurn} from '../../examples/chat/turn.js';
import {openCheckpoint} from '../../src/index.js';
import {IN_BROWSER} from '../support/environment.js';
import {type BenchRow, type Timing, timingOf} from './bench_run.js';
import {type LongestTask, longestOf, type Tasks, watchTasks} from './bench_tasks.js';

const PROMPT_TOKENS = 128;
const NEW_TOKENS = 64;

/** As BenchRow; a decode row is one token. */
export type ChatRow = Omit<BenchRow, 'N' | 'K' | 'variant' | 'error' | 'input'> & {
  readonly N: null;
  readonly K: null;
  readonly tokensPerSecond: number;
  /** Milliseconds for which the page was frozen at the most, while nothing had been compiled yet, and later. See bench_tasks.ts. */
  readonly firstLongestTaskMs: LongestTask;
  readonly longestTaskMs: LongestTask;
};

/** Any ids make the same work. */
const promptIds = Array.from({length: PROMPT_TOKENS}, (_, i) => 1000 + ((i * 7919) % 40_000));

interface Answer {
  readonly prefill: number;
  readonly decode: readonly number[];
  readonly vocabulary: number;
  /** The longest task of each phase. */
  readonly tasks: {readonly prefill: LongestTask; readonly decode: LongestTask};
}

async function answer(model: Llama, tasks: Tasks): Promise<Answer> {
  const cache = model.createCache();
  const decode: number[] = [];
  let prefill = 0;
  let vocabulary = 0;
  let next: readonly number[] = promptIds;
  await tasks.longest();
  let prefillTask: LongestTask = null;
  for (let i = 0; i <= NEW_TOKENS; i++) {
    const start = performance.now();
    const logits = await model.forwardAsync(next, cache);
    const best = tf.argMax(logits, 1);
    vocabulary = logits.shape[1];
    next = Array.from(await best.data());
    if (i === 0) prefill = performance.now() - start;
    else decode.push(performance.now() - start);
    tf.dispose([logits, best]);
    // As a page does after each token, to show it.
    if (i === 0) prefillTask = await tasks.longest();
    else await nextTurn();
  }
  cache.dispose();
  return {prefill, decode, vocabulary, tasks: {prefill: prefillTask, decode: await tasks.longest()}};
}

/** One pass through matrices of the model's shapes in float32: every layer its own, as its bytes have to be read. The faster of both layouts. */
async function float32Baseline({config}: Llama, vocabulary: number, m: number, rounds: number): Promise<{best: Timing; both: Timing[]}> {
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
  const xs = new Map([...new Set(shapes.map(([, k]) => k))].map((k) => [k, tf.randomUniform([m, k], -1, 1, 'float32', 2) as tf.Tensor2D]));
  const pass = async (transposed: boolean): Promise<number> => {
    const start = performance.now();
    const ys = shapes.map(([n, k], i) => {
      const all = xs.get(k) as tf.Tensor2D;
      return tf.tidy(() => {
        // Logits are those of the last position alone.
        const x = i === shapes.length - 1 ? tf.slice(all, [0, 0], [1, k]) : all;
        return tf.matMul(x, tf.reshape(weights[i] as tf.Tensor, transposed ? [n, k] : [k, n]) as tf.Tensor2D, false, transposed);
      });
    });
    await (ys[ys.length - 1] as tf.Tensor).data();
    const time = performance.now() - start;
    tf.dispose(ys);
    return time;
  };
  const times: [number[], number[]] = [[], []];
  await pass(true);
  await pass(false);
  for (let round = 0; round < rounds; round++) {
    times[0].push(await pass(false));
    times[1].push(await pass(true));
  }
  tf.dispose([...weights, ...xs.values()]);
  const both = [
    timingOf('tf.matMul float32 [K,N], its matrices alone', times[0]),
    timingOf('tf.matMul float32 [N,K], its matrices alone', times[1]),
  ];
  both.sort((a, b) => a.medianMs - b.medianMs);
  return {best: both[0] as Timing, both};
}

/** The rows of both phases on the current backend. */
export async function benchChat(source: string, threads: number, rounds: number | null): Promise<ChatRow[]> {
  const checkpoint = await openCheckpoint(source);
  const model = await loadLlama(checkpoint);
  await checkpoint.close();
  const tasks = watchTasks();
  try {
    const count = rounds ?? 3;
    const first = await answer(model, tasks);
    const answers: Answer[] = [];
    for (let round = 0; round < count; round++) answers.push(await answer(model, tasks));
    const row = async (phase: 'prefill' | 'decode', m: number, times: readonly number[], tokens: number): Promise<ChatRow> => {
      const name = `chat-${phase}`;
      const {best, both} = await float32Baseline(model, first.vocabulary, m, m === 1 ? 5 * count : count);
      const {medianMs, minMs, samples} = timingOf(name, times);
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
        tokensPerSecond: (1000 * tokens) / medianMs,
        firstLongestTaskMs: first.tasks[phase],
        longestTaskMs: longestOf(answers.map((a) => a.tasks[phase])),
        medianMs,
        minMs,
        samples,
        baseline: best,
        baselines: both,
        peers: [],
        ratio: medianMs / best.medianMs,
      };
    };
    return [
      await row(
        'prefill',
        PROMPT_TOKENS,
        answers.map(({prefill}) => prefill),
        PROMPT_TOKENS,
      ),
      await row(
        'decode',
        1,
        answers.flatMap(({decode}) => decode),
        1,
      ),
    ];
  } finally {
    tasks.stop();
    model.dispose();
  }
}
