/** Reads a prompt and writes tokens one by one. */
import type * as tf from '@tensorflow/tfjs';
import {ArgumentError} from 'tfjs-linear';
import {type Llama, PREFILL_POSITIONS} from './model.js';
import {choose, sample} from './sampler.js';
import {nextTurn} from './turn.js';

export interface GenerateOptions {
  readonly maxTokens: number;
  /** 0: always the likeliest token. */
  readonly temperature: number;
  readonly random: () => number;
  /** Ids after which to stop; they are not part of the result. */
  readonly endIds: ReadonlySet<number>;
  /** Stops after the token in the making: the result is what there is by then. */
  readonly signal?: AbortSignal;
  readonly onToken?: (id: number) => void;
}

export interface Generated {
  readonly ids: number[];
  /** Logits after the prompt, [V]; empty where it was stopped before. */
  readonly promptLogits: Float32Array;
  readonly promptTokens: number;
  readonly prefillSeconds: number;
  /** Steps after the first token, which comes out of the prefill. */
  readonly decodeSteps: number;
  readonly decodeSeconds: number;
  /** Why it ended. */
  readonly ended: 'end of text' | 'token limit' | 'context full' | 'stopped';
}

/** A long prompt is read in parts. Throws ArgumentError for a prompt that is empty or does not fit the context. No tensor is left behind. */
export async function generate(model: Llama, promptIds: readonly number[], options: GenerateOptions): Promise<Generated> {
  const {contextLength} = model.config;
  if (promptIds.length === 0 || promptIds.length > contextLength) {
    throw new ArgumentError({where: 'prompt', expected: `1 to ${contextLength} tokens`, received: String(promptIds.length)});
  }
  const {maxTokens, temperature, random, endIds, signal, onToken} = options;
  const cache = model.createCache();
  const ids: number[] = [];
  const start = performance.now();
  let prefillEnd = start;
  let decodeSteps = 0;
  const finish = (promptLogits: Float32Array, ended: Generated['ended']): Generated => ({
    ids,
    promptLogits,
    promptTokens: promptIds.length,
    prefillSeconds: (prefillEnd - start) / 1000,
    decodeSteps,
    decodeSeconds: (performance.now() - prefillEnd) / 1000,
    ended,
  });
  const after = async <T>(input: readonly number[], use: (logits: tf.Tensor2D) => Promise<T>): Promise<T> => {
    const logits = await model.forwardAsync(input, cache);
    try {
      return await use(logits);
    } finally {
      logits.dispose();
    }
  };
  try {
    let read = 0;
    for (; read + PREFILL_POSITIONS < promptIds.length; read += PREFILL_POSITIONS) {
      await model.read(promptIds.slice(read, read + PREFILL_POSITIONS), cache);
      await nextTurn();
      if (signal?.aborted) return finish(new Float32Array(), 'stopped');
    }
    const promptLogits = await after(promptIds.slice(read), async (logits) => (await logits.data()) as Float32Array);
    prefillEnd = performance.now();
    if (maxTokens <= 0) return finish(promptLogits, 'token limit');
    for (let id = sample(promptLogits, temperature, random); ; decodeSteps++) {
      if (endIds.has(id)) return finish(promptLogits, 'end of text');
      ids.push(id);
      onToken?.(id);
      await nextTurn();
      if (signal?.aborted) return finish(promptLogits, 'stopped');
      if (ids.length >= maxTokens) return finish(promptLogits, 'token limit');
      if (cache.length >= contextLength) return finish(promptLogits, 'context full');
      id = await after([id], (logits) => choose(logits, temperature, random));
    }
  } finally {
    cache.dispose();
  }
}
