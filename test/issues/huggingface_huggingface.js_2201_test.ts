// https://github.com/huggingface/huggingface.js/pull/2201: an alignment of 2^31 became negative in 32-bit arithmetic.
import {FileFormatError} from '../../src/errors.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {ggufEntry, ggufFile, ggufListed, ggufText, ramp, rejection, u32, u64} from '../io/bytes_support.js';

describe('huggingface/huggingface.js#2201', () => {
  const file = (kind: number, value: Uint8Array) =>
    ggufFile({
      metadata: [ggufEntry('general.alignment', kind, value)],
      tensors: [ggufListed('a', [3], 24, 0)],
      alignment: 4096,
      data: ramp(3),
    });

  it('an alignment of 2^31 or more, of zero, or of no legal kind is refused', async () => {
    for (const [kind, value] of [
      [4, u32(2147483648)],
      [4, u32(4294967295)],
      [10, u64(2n ** 32n)],
      [10, u64(2n ** 63n)],
      [4, u32(0)],
      [5, u32(0xffffffe0)],
      [4, u32(20)],
      [8, ggufText('32')],
    ] as const) {
      const error = await rejection(openTensorFiles({'m.gguf': file(kind, value)}));
      expect(error).toBeInstanceOf(FileFormatError);
      expect(error.message).toMatch(/'general\.alignment'.*power of two.*below 2\^31/);
    }
  });

  it('the largest that fits is accepted', async () => {
    const files = await openTensorFiles({'m.gguf': file(4, u32(4096))});
    expect(await files.read('a')).toEqual(ramp(3));
    const error = await rejection(openTensorFiles({'m.gguf': file(4, u32(2 ** 30))}));
    // Understood: the data then begins at 2^30, beyond this file.
    expect(error.message).toMatch(/tensor 'a'.*bytes 1073741824 to 1073741827/);
  });
});
