/** The chat model over several devices: the tokens of one. */
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint, startWorkers} from 'tfjs-linear';
import {generate} from '../../examples/chat/generate.js';
import {loadLlama} from '../../examples/chat/load.js';
import {argMax} from '../../examples/chat/sampler.js';
import {IN_BROWSER} from '../support/environment.js';
import {withTwoGPUs} from '../support/two_gpus.js';
import {TINY, TinyLlama} from './tiny_llama.js';

const PROMPT = [3, 14, 15, 9, 26];
const TOKENS = 4;

/** Over devices of which the first is home; also token by token, and a prompt of several parts' logits. */
async function expectTokens(tiny: TinyLlama, devices: readonly string[]): Promise<void> {
  await tf.setBackend(devices[0] as string);
  const checkpoint = await openCheckpoint(tiny.files());
  const model = await loadLlama(checkpoint, {devices});
  await checkpoint.close();
  const options = {maxTokens: TOKENS, temperature: 0, random: () => 0, endIds: new Set<number>()};
  const tensors = tf.memory().numTensors;
  const {ids, promptLogits} = await generate(model, PROMPT, options);
  expect(tf.memory().numTensors).toBe(tensors);
  const expected = [...PROMPT];
  while (expected.length < PROMPT.length + TOKENS) expected.push(argMax(tiny.logits(expected).at(-1) as number[]));
  expect(ids).toEqual(expected.slice(PROMPT.length));
  const logits = tiny.logits(PROMPT).at(-1) as number[];
  expect(Math.max(...logits.map((value, i) => Math.abs(value - (promptLogits[i] as number))))).toBeLessThan(5e-5);
  const {devices: held = [], weightBytes} = model.bytes;
  expect(held.map(({name}) => name)).toEqual([...new Set(devices)]);
  // Norms are at home.
  const norms = (2 * TINY.layerCount + 1) * TINY.hiddenDim * 4;
  expect(held.reduce((sum, {bytes}) => sum + bytes, 0)).toBe(weightBytes - norms);
  model.dispose();
  await tf.setBackend('cpu');
}

describe('Llama decoder over devices', () => {
  beforeAll(async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
  });

  it('wasm and cpu, a tied embedding and one apart, uneven parts', async () => {
    await expectTokens(new TinyLlama(), ['wasm', 'cpu']);
    await expectTokens(new TinyLlama({...TINY, tied: false, attentionBias: true}), ['cpu', 'wasm', 'cpu']);
  });

  it('a worker and this thread', async () => {
    await startWorkers(1);
    await expectTokens(new TinyLlama(), ['wasm', 'worker:0']);
  });

  it('two webgpu devices, and webgpu beside wasm: awaited', async () => {
    await withTwoGPUs({}, async () => {
      await expectTokens(new TinyLlama(), ['webgpu:0', 'webgpu:1']);
      await expectTokens(new TinyLlama({...TINY, tied: false}), ['wasm', 'webgpu:1']);
    });
  });

  if (IN_BROWSER) {
    it('webgl and wasm', async () => {
      await tf.setBackend('webgl');
      await expectTokens(new TinyLlama(), ['webgl', 'wasm']);
    });
  }
});
