/** The chat model on webgpu: a step reads the id of the token it chose, and nothing else; and it takes few dispatches. */
import {openCheckpoint} from 'tfjs-linear';
import {generate} from '../../examples/chat/generate.js';
import {loadLlama} from '../../examples/chat/load.js';
import {argMax, choose, randomFrom} from '../../examples/chat/sampler.js';
import {countWork, describeWebGPU, webgpuBackend, withProfile} from '../support/webgpu.js';
import {TinyLlama} from './tiny_llama.js';

const PROMPT = [3, 14, 15, 9, 26];
const TOKENS = 6;

describeWebGPU('generating', () => {
  it('leaves the logits of every token after the first on the device', async () => {
    const tiny = new TinyLlama();
    const checkpoint = await openCheckpoint(tiny.files({}));
    const model = await loadLlama(checkpoint);
    await checkpoint.close();
    const options = {maxTokens: TOKENS, temperature: 0, random: randomFrom(1), endIds: new Set<number>()};
    // Once for the kernels' known answers, which are read too.
    await generate(model, PROMPT, options);
    const backend = webgpuBackend();
    const sizes: number[] = [];
    const read = backend.getBufferData.bind(backend);
    spyOn(backend, 'getBufferData').and.callFake(async (buffer) => {
      const bytes = await read(buffer);
      sizes.push(bytes.byteLength);
      return bytes;
    });
    const {ids, promptLogits} = await generate(model, PROMPT, options);
    const all = [...PROMPT];
    while (all.length < PROMPT.length + TOKENS) all.push(argMax(tiny.logits(all).at(-1) as number[]));
    expect(ids).toEqual(all.slice(PROMPT.length));
    expect(sizes).toEqual([promptLogits.length * 4, ...Array<number>(TOKENS - 1).fill(4)]);
    model.dispose();
  });

  for (const software of [true, false]) {
    it(`takes five dispatches a layer and three more for a token, as on a ${software ? 'CPU' : 'GPU'}`, async () => {
      const checkpoint = await openCheckpoint(new TinyLlama().files({}));
      const model = await loadLlama(checkpoint);
      await checkpoint.close();
      const cache = model.createCache();
      await withProfile({software, withoutFeatures: ['subgroups']}, async () => {
        const step = async (ids: readonly number[]): Promise<void> => {
          const logits = await model.forwardAsync(ids, cache);
          await choose(logits, 0, Math.random);
          logits.dispose();
        };
        await step(PROMPT);
        await step([1]);
        const {dispatches, submits, writes} = await countWork(() => step([2]));
        // q, k and v with the norm; attention; its output; gate and up with theirs; down. The embedding, the logits, the choice.
        expect(dispatches).toBe(5 * model.config.layerCount + 3);
        // The uniforms of tf.js's argMax, and those of attention: where it is, the same in all layers.
        expect(writes).toBeLessThanOrEqual(2);
        expect(submits).toBe(1 + Math.floor((dispatches - 1) / 15));
      });
      cache.dispose();
      model.dispose();
    });
  }
});
