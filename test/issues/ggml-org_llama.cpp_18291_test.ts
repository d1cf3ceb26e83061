// https://github.com/ggml-org/llama.cpp/pull/18291: a reader rounded the start of safetensors data up to a multiple of 8. It begins where the header ends.
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {ramp, safetensorsFile} from '../io/bytes_support.js';

describe('ggml-org/llama.cpp#18291', () => {
  it('a tensor right after an unpadded header is read to the byte, into memory that any type may view', async () => {
    for (let spaces = 0; spaces < 8; spaces++) {
      const header = `${JSON.stringify({a: {dtype: 'U8', shape: [3], data_offsets: [0, 3]}, b: {dtype: 'F64', shape: [2], data_offsets: [3, 19]}})}${' '.repeat(spaces)}`;
      const numbers = Float64Array.of(Math.PI, -0.1);
      const data = new Uint8Array([...ramp(3, 7), ...new Uint8Array(numbers.buffer)]);
      const files = await openTensorFiles({'model.safetensors': safetensorsFile(header, data)});
      expect(await files.read('a')).toEqual(ramp(3, 7));
      const b = await files.read('b');
      expect(new Float64Array(b.buffer, b.byteOffset, 2)).toEqual(numbers);
    }
  });
});
