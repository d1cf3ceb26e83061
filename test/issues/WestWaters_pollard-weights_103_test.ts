// https://github.com/WestWaters/pollard-weights/issues/103: rows of 896 in blocks of 256. A block does not span two rows.
import {FileFormatError} from '../../src/errors.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {ggufFile, ggufListed, ramp, rejection} from '../io/bytes_support.js';

describe('WestWaters/pollard-weights#103', () => {
  const Q4_K = 12;
  // 896 x 4 elements are a whole number of blocks; only the row is not.
  const file = (row: number) => ggufFile({tensors: [ggufListed('a.weight', [row, 4], Q4_K, 0)], data: ramp((row * 4 * 144) / 256)});

  it('a Q4_K tensor with rows of 896 is refused with both numbers', async () => {
    const error = await rejection(openTensorFiles({'m.gguf': file(896)}));
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error.message).toMatch(/tensor 'a\.weight'.*multiple of 256.*Q4_K.*rows of 896/);
    const files = await openTensorFiles({'m.gguf': file(768)});
    expect((await files.read('a.weight')).length).toBe(3 * 4 * 144);
  });
});
