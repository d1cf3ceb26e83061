import * as tf from '@tensorflow/tfjs';
import {openCheckpoint, UnsupportedError, UnusedTensorError} from 'tfjs-linear';
import {loadLlama} from '../../examples/chat/load.js';
import type {Llama} from '../../examples/chat/model.js';
import {onEachBackend} from '../support/backends.js';
import {TINY, type TinyConfig, TinyLlama} from './tiny_llama.js';

/** float32 through two blocks; the worst seen on cpu and wasm is below 2e-5. */
const TOLERANCE = 5e-5;

async function load(files: Record<string, Uint8Array>): Promise<Llama> {
  const checkpoint = await openCheckpoint(files);
  try {
    return await loadLlama(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

function idsOf(length: number): number[] {
  return Array.from({length}, (_, i) => (i * 17 + 3) % TINY.vocabulary);
}

async function expectLogits(logits: tf.Tensor2D, expected: readonly number[]): Promise<void> {
  const values = await logits.data();
  logits.dispose();
  expect(values.length).toBe(expected.length);
  expect(Math.max(...expected.map((value, i) => Math.abs(value - (values[i] as number))))).toBeLessThan(TOLERANCE);
}

describe('Llama decoder', () => {
  onEachBackend(() => {
    const variants: Record<string, Partial<TinyConfig>> = {
      'a tied embedding': {},
      'an output projection of its own': {tied: false},
      'a bias on q, k and v': {attentionBias: true},
      'as many heads of k as of q': {keyHeadCount: 4},
    };
    for (const [name, change] of Object.entries(variants)) {
      it(`reads a prompt at once and token by token alike, with ${name}`, async () => {
        const tiny = new TinyLlama({...TINY, ...change});
        const ids = idsOf(9);
        const expected = tiny.logits(ids);
        const model = await load(tiny.files());
        const [whole, steps, mixed] = [model.createCache(), model.createCache(), model.createCache()];
        await expectLogits(model.forward(ids, whole), expected[8] as number[]);
        for (const [i, id] of ids.entries()) await expectLogits(model.forward([id], steps), expected[i] as number[]);
        await expectLogits(model.forward(ids.slice(0, 3), mixed), expected[2] as number[]);
        await expectLogits(model.forward([ids[3] as number], mixed), expected[3] as number[]);
        await expectLogits(model.forward(ids.slice(4), mixed), expected[8] as number[]);
        expect([whole.length, steps.length, mixed.length]).toEqual([9, 9, 9]);
        for (const part of [whole, steps, mixed, model]) part.dispose();
      });
    }

    it('reads more positions than the cache has room for at first', async () => {
      const tiny = new TinyLlama();
      const ids = idsOf(140);
      const expected = tiny.logits(ids);
      const model = await load(tiny.files());
      const cache = model.createCache();
      // webgl compiles programs anew for every length, for two minutes in all: there most are read at once.
      const first = tf.getBackend() === 'webgl' ? 120 : 1;
      for (let i = first - 1; i < ids.length; i++) {
        const logits = model.forward(i < first ? ids.slice(0, first) : [ids[i] as number], cache);
        if (i % 7 === 0 || i > 118) await expectLogits(logits, expected[i] as number[]);
        else logits.dispose();
      }
      cache.dispose();
      model.dispose();
    });

    // A prompt that takes a second must not freeze a page.
    it('makes room for other work while it reads a prompt, and gives the same logits', async () => {
      const tiny = new TinyLlama();
      const ids = idsOf(9);
      const model = await load(tiny.files());
      const cache = model.createCache();
      const before = tf.memory().numTensors;
      let others = 0;
      const port = new MessageChannel();
      port.port1.onmessage = () => {
        others++;
        port.port2.postMessage(null);
      };
      port.port2.postMessage(null);
      let clock = 0;
      spyOn(performance, 'now').and.callFake(() => {
        clock += 100;
        return clock;
      });
      const logits = await model.forwardAsync(ids, cache);
      expect(others).toBeGreaterThan(2);
      port.port1.close();
      await expectLogits(logits, tiny.logits(ids)[8] as number[]);
      cache.dispose();
      expect(tf.memory().numTensors).toBe(before);
      model.dispose();
    });

    it('holds the same number of tensors from token to token', async () => {
      const model = await load(new TinyLlama().files());
      const cache = model.createCache();
      model.forward(idsOf(5), cache).dispose();
      model.forward([1], cache).dispose();
      const before = tf.memory().numTensors;
      for (let i = 0; i < 50; i++) model.forward([i % TINY.vocabulary], cache).dispose();
      expect(tf.memory().numTensors).toBe(before);
      cache.dispose();
      model.dispose();
    });
  });

  it('counts its bytes', async () => {
    const tiny = new TinyLlama({...TINY, tied: false});
    const model = await load(tiny.files());
    const parameters = [...tiny.tensors.values()].reduce((sum, {values}) => sum + values.length, 0);
    expect(model.bytes).toEqual({weightBytes: parameters * 4, float32Bytes: parameters * 4});
    model.dispose();
  });

  // The spec's own check of tensors left behind covers each of these.
  it('refuses a tensor that it has no place for', async () => {
    const files = new TinyLlama().files({}, {'model.layers.1.self_attn.q_norm.weight': [1, 2]});
    await expectAsync(load(files)).toBeRejectedWithError(UnusedTensorError, /model\.layers\.1\.self_attn\.q_norm\.weight/);
  });

  it('leaves nothing behind where a later part is missing', async () => {
    const tiny = new TinyLlama();
    tiny.tensors.delete('model.layers.1.mlp.down_proj.weight');
    await expectAsync(load(tiny.files())).toBeRejectedWithError(/mlp\.down_proj/);
  });

  it('ignores rotary frequencies, which the config says as well', async () => {
    const model = await load(new TinyLlama().files({}, {'model.layers.0.self_attn.rotary_emb.inv_freq': [1, 0.1, 0.01]}));
    expect(model.config.layerCount).toBe(2);
    model.dispose();
  });

  for (const [key, value] of Object.entries({
    model_type: 'qwen2',
    sliding_window: 4096,
    rope_parameters: {rope_type: 'yarn', rope_theta: 500, factor: 4},
    hidden_act: 'quick_gelu',
    partial_rotary_factor: 0.5,
  })) {
    it(`refuses ${key} ${JSON.stringify(value)}`, async () => {
      await expectAsync(load(new TinyLlama().files({[key]: value}))).toBeRejectedWithError(UnsupportedError);
    });
  }
});
