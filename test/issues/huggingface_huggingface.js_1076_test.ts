// https://github.com/huggingface/huggingface.js/pull/1076: GGUF offsets count from the start of the data, which is the header's end rounded up to the alignment.
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {concat, ggufEntry, ggufFile, ggufListed, ggufText, ramp, u32} from '../io/bytes_support.js';

describe('huggingface/huggingface.js#1076', () => {
  const I8 = 24;
  const entries = (text: string, alignment?: number) => [
    ggufEntry('pad', 8, ggufText(text)),
    ...(alignment === undefined ? [] : [ggufEntry('general.alignment', 4, u32(alignment))]),
  ];
  const tensors = [ggufListed('a', [5], I8, 0), ggufListed('b', [3], I8, 64)];
  const headerLength = (text: string) => ggufFile({metadata: entries(text), tensors, alignment: 1}).length;
  const data = concat(ramp(5, 1), new Uint8Array(59), ramp(3, 101));

  it('tensors are exact for every length of the header modulo 32', async () => {
    const seen = new Set<number>();
    for (let length = 0; length < 32; length++) {
      const text = 'x'.repeat(length);
      seen.add(headerLength(text) % 32);
      const files = await openTensorFiles({'m.gguf': ggufFile({metadata: entries(text), tensors, data})});
      expect(await files.read('a')).toEqual(ramp(5, 1));
      expect(await files.read('b')).toEqual(ramp(3, 101));
    }
    // 33 modulo 32, and 0, where nothing is padded, among them.
    expect(seen.size).toBe(32);
  });

  it('the alignment is the one that the file gives', async () => {
    for (const alignment of [8, 24, 64]) {
      const listed = [ggufListed('a', [5], I8, 0), ggufListed('b', [3], I8, 3 * alignment)];
      const padded = concat(ramp(5, 1), new Uint8Array(3 * alignment - 5), ramp(3, 101));
      const files = await openTensorFiles({
        'm.gguf': ggufFile({metadata: entries('', alignment), tensors: listed, alignment, data: padded}),
      });
      expect(await files.read('b'))
        .withContext(`alignment ${alignment}`)
        .toEqual(ramp(3, 101));
    }
  });
});
