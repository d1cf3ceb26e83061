// https://github.com/vllm-project/vllm/issues/51665: the config says tied, but the file has a head of its own.
import {openCheckpoint} from '../../src/index.js';
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {f32} from '../formats/packed_build.js';

describe('vllm-project/vllm#51665', () => {
  it('what the file holds under the asked name is what is loaded', async () => {
    const tensors = new Map([
      ['model.embed_tokens.weight', f32([2, 2], [1, 2, 3, 4])],
      ['lm_head.weight', f32([2, 2], [5, 6, 7, 8])],
    ]);
    const checkpoint = await openCheckpoint({
      'model.safetensors': writeSafetensors([...tensors].map(([name, t]) => ({name, ...t}) as never)),
      'config.json': new TextEncoder().encode('{"tie_word_embeddings": true}'),
    });
    for (const [name, expected] of [
      ['lm_head', [5, 6, 7, 8]],
      ['model.embed_tokens', [1, 2, 3, 4]],
    ] as const) {
      const layer = await checkpoint.linear(name);
      const weight = layer.weight.dequantize();
      expect([...(await weight.data())]).toEqual([...expected]);
      weight.dispose();
      layer.dispose();
    }
    await checkpoint.close();
  });
});
