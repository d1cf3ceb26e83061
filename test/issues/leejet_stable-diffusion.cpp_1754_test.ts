// https://github.com/leejet/stable-diffusion.cpp/issues/1754: data_offsets whose begin is after the end.
import {FileFormatError} from '../../src/errors.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {ramp, rejection, safetensorsFile} from '../io/bytes_support.js';

describe('leejet/stable-diffusion.cpp#1754', () => {
  const file = (offsets: [number, number]) =>
    safetensorsFile(
      {a: {dtype: 'U8', shape: [50], data_offsets: [0, 50]}, 'model.b': {dtype: 'U8', shape: [50], data_offsets: offsets}},
      ramp(100),
    );

  it('is refused with the name of the tensor', async () => {
    const error = await rejection(openTensorFiles({'model.safetensors': file([100, 50])}));
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error.message).toMatch(/tensor 'model\.b'.*begin <= end.*\[100, 50\]/);
    const files = await openTensorFiles({'model.safetensors': file([50, 100])});
    expect(await files.read('model.b')).toEqual(ramp(50, 50));
  });
});
