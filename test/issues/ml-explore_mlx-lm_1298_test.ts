// https://github.com/ml-explore/mlx-lm/issues/1298: a head stored beside a tied embedding. https://github.com/vllm-project/vllm/issues/51665
import {loadLlama} from '../../examples/chat/load.js';
import {openCheckpoint} from '../../src/index.js';
import {TINY, TinyLlama} from '../chat/tiny_llama.js';

async function weightBytes(model: TinyLlama, settings: Record<string, unknown> = {}): Promise<number> {
  const checkpoint = await openCheckpoint(model.files(settings));
  const llama = await loadLlama(checkpoint);
  const {weightBytes} = llama.bytes;
  llama.dispose();
  await checkpoint.close();
  return weightBytes;
}

describe('ml-explore/mlx-lm#1298', () => {
  const same = new TinyLlama({...TINY, tied: false});
  const embedding = same.tensors.get('model.embed_tokens.weight') as {shape: number[]; values: Float32Array};
  same.tensors.set('lm_head.weight', {shape: embedding.shape, values: embedding.values.slice()});

  it('the same numbers twice are held once', async () => {
    expect(await weightBytes(same, {tie_word_embeddings: true})).toBe(await weightBytes(new TinyLlama()));
  });

  it('other numbers are the head, whatever the config says', async () => {
    const apart = new TinyLlama({...TINY, tied: false});
    expect(await weightBytes(apart, {tie_word_embeddings: true})).toBe(await weightBytes(apart));
  });
});
