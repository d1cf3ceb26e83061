/** A model behind a URL whose layers are read by number, and lie in the file by name: 0, 1, 10, 11, 2, 3 ... */
import {openCheckpoint} from '../../src/index.js';
import {runEnds} from '../../src/io/runs.js';
import type {StoredTensor} from '../../src/io/tensor_table.js';
import {firstDifference, ggufFile, ggufListed, ramp} from './bytes_support.js';
import {rangeOf, serve} from './file_server.js';

const MEBIBYTE = 2 ** 20;

describe('Layers in the order of their names', () => {
  it('are runs, up to where a number is missing', () => {
    const source = {} as StoredTensor['source'];
    const names = ['embed', 'h.0.a', 'h.0.b', 'h.1.a', 'h.10.a', 'h.11.a', 'h.2.a', 'h.2.b', 'h.3.a', 'norm', 'head'];
    const tensors = names.map((name, i) => ({name, source, begin: 10 * i, byteLength: 10}) as StoredTensor);
    const elsewhere = {name: 'h.4.a', source: {}, begin: 95, byteLength: 1} as StoredTensor;
    const ends = runEnds([elsewhere, ...[...tensors].reverse()]);
    expect(tensors.map((tensor) => ends.get(tensor))).toEqual([40, 40, 40, 40, 60, 60, 90, 90, 90, 100, 110]);
    expect(ends.get(elsewhere)).toBe(96);
  });

  it('are read by number in one body each time, and hardly a byte comes in vain', async () => {
    // Q8_0 of [1024, 1024] in each, 1.06 MiB, two a layer.
    const rowBytes = (1024 / 32) * 34;
    const bytes = 1024 * rowBytes;
    const layers = [0, 1, 10, 11, 12, 13, 2, 3, 4, 5, 6, 7, 8, 9];
    const local = ['attn_q', 'ffn_up'];
    const names = layers.flatMap((layer) => local.map((name) => `blk.${layer}.${name}`));
    const embedding = 20;
    const data = ramp((embedding + names.length) * bytes);
    // Scales that are numbers.
    for (let at = 0; at < data.length; at += 34) data.set([0, 0x3c], at);
    const tensors = names.map((name, i) => ggufListed(`${name}.weight`, [1024, 1024], 8, (embedding + i) * bytes));
    const file = ggufFile({tensors: [ggufListed('token_embd.weight', [1024, embedding * 1024], 8, 0), ...tensors], data});
    const server = await serve({'/model.gguf': file});
    const checkpoint = await openCheckpoint(`${server.origin}/model.gguf`);
    const whole = await openCheckpoint({'model.gguf': file});
    const byNumber = ['token_embd', ...[...layers].sort((a, b) => a - b).flatMap((layer) => local.map((name) => `blk.${layer}.${name}`))];
    for (const name of byNumber) {
      const [got, wanted] = [await checkpoint.lower(name), await whole.lower(name)].map(({words}) => new Uint8Array(words.buffer));
      expect(firstDifference(got!, wanted!)).withContext(name).toBe(-1);
    }
    // The header; the embedding; all that follows, which is left after layer 1; 2 to 9.
    const ranges = server.asked.map(({range}) => rangeOf(file, range));
    expect(ranges.length).toBeLessThan(6);
    const second = file.length - 16 * bytes;
    const jumped = ranges.filter(([first]) => first > second - MEBIBYTE);
    expect(jumped.map(([, last]) => last)).toEqual([file.length - 1]);
    await checkpoint.close();
    await server.close();
  });
});
