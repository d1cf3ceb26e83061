// https://github.com/huggingface/safetensors/issues/839: F8_E8M0 and F4 need byte-wise reading; loaders knew neither name. F4's shape counts elements, two to a byte.
import {FileFormatError} from '../../src/errors.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {ramp, rejection, safetensorsFile} from '../io/bytes_support.js';

describe('huggingface/safetensors#839', () => {
  const file = (dtype: string) =>
    safetensorsFile(
      {scales: {dtype: 'F8_E8M0', shape: [2, 3], data_offsets: [0, 6]}, codes: {dtype, shape: [2, 8], data_offsets: [6, 14]}},
      ramp(14, 120),
    );

  it('F8_E8M0 and F4 tensors are read as codes', async () => {
    const files = await openTensorFiles({'model.safetensors': file('F4')});
    expect(files.info('scales')).toEqual(jasmine.objectContaining({dtype: 'F8_E8M0', shape: [2, 3], byteLength: 6}));
    expect(files.info('codes')).toEqual(jasmine.objectContaining({dtype: 'F4', shape: [2, 8], byteLength: 8}));
    expect(await files.read('scales')).toEqual(ramp(6, 120));
    expect(await files.read('codes')).toEqual(ramp(8, 126));
  });

  it('an unknown type is refused by name', async () => {
    const error = await rejection(openTensorFiles({'model.safetensors': file('F4_E3M0')}));
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error.message).toMatch(/tensor 'codes'.*"F4_E3M0"/);
  });
});
