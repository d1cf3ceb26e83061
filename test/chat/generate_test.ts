import {ArgumentError, openCheckpoint} from 'tfjs-linear';
import {type Generated, type GenerateOptions, generate} from '../../examples/chat/generate.js';
import {loadLlama} from '../../examples/chat/load.js';
import type {Llama} from '../../examples/chat/model.js';
import {argMax, randomFrom} from '../../examples/chat/sampler.js';
import {TinyLlama} from './tiny_llama.js';

const PROMPT = [3, 14, 15, 9, 26];
const tiny = new TinyLlama();

/** Greedy continuation by the plain computation. */
function greedy(prompt: readonly number[], count: number): number[] {
  const ids = [...prompt];
  while (ids.length < prompt.length + count) ids.push(argMax(tiny.logits(ids).at(-1) as number[]));
  return ids.slice(prompt.length);
}

async function withModel<T>(use: (model: Llama) => Promise<T>, settings: Record<string, unknown> = {}): Promise<T> {
  const checkpoint = await openCheckpoint(tiny.files(settings));
  const model = await loadLlama(checkpoint);
  await checkpoint.close();
  try {
    return await use(model);
  } finally {
    model.dispose();
  }
}

function run(
  prompt: readonly number[],
  options: Partial<GenerateOptions> = {},
  settings: Record<string, unknown> = {},
): Promise<Generated> {
  const all = {maxTokens: 6, temperature: 0, random: randomFrom(1), endIds: new Set<number>(), ...options};
  return withModel((model) => generate(model, prompt, all), settings);
}

describe('generate', () => {
  it('writes the likeliest tokens and counts its steps', async () => {
    const seen: number[] = [];
    const result = await run(PROMPT, {onToken: (id) => seen.push(id)});
    expect(result.ids).toEqual(greedy(PROMPT, 6));
    expect(seen).toEqual(result.ids);
    expect([result.promptTokens, result.decodeSteps, result.ended]).toEqual([5, 5, 'token limit']);
    expect(argMax(result.promptLogits)).toBe(result.ids[0] as number);
  });

  it('reads a prompt longer than one part', async () => {
    const prompt = Array.from({length: 300}, (_, i) => (i * 7) % 50);
    const result = await run(prompt, {maxTokens: 2});
    const expected = tiny.logits(prompt).at(-1) as number[];
    expect(Math.max(...expected.map((value, i) => Math.abs(value - (result.promptLogits[i] as number))))).toBeLessThan(5e-5);
    expect(result.ids).toEqual(greedy(prompt, 2));
  });

  it('stops before a token that ends the text', async () => {
    const expected = greedy(PROMPT, 6);
    const end = expected[3] as number;
    const result = await run(PROMPT, {endIds: new Set([end])});
    expect(result.ids).toEqual(expected.slice(0, expected.indexOf(end)));
    expect(result.ended).toBe('end of text');
  });

  it('stops where the context is full', async () => {
    const result = await run(PROMPT, {maxTokens: 20}, {max_position_embeddings: 8});
    // Five positions of the prompt and three new ones; the token after them need not be read.
    expect(result.ids).toEqual(greedy(PROMPT, 4));
    expect(result.ended).toBe('context full');
  });

  it('stops with what it has, while writing and while reading', async () => {
    const stop = new AbortController();
    const result = await run(PROMPT, {signal: stop.signal, onToken: () => stop.abort()});
    expect([result.ids.length, result.ended]).toEqual([1, 'stopped']);
    const early = await run(new Array(300).fill(1), {signal: AbortSignal.abort()});
    expect([early.ids.length, early.promptLogits.length, early.ended]).toEqual([0, 0, 'stopped']);
  });

  it('refuses an empty prompt and one beyond the context', async () => {
    await expectAsync(run([])).toBeRejectedWithError(ArgumentError, /prompt/);
    await expectAsync(run(new Array(9).fill(1), {}, {max_position_embeddings: 8})).toBeRejectedWithError(ArgumentError, /1 to 8 tokens/);
  });
});
