/** A checkpoint of one large layer. */
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {seeded} from '../grid/layouts.js';
import type {Files} from './checkpoints.js';
import {jsonBytes} from './files.js';

export interface LargeLayer {
  /** What openCheckpoint takes; the module is 'fc'. */
  readonly files: Files;
  /** Bytes of all the module's tensors. */
  readonly fileBytes: number;
}

/** A GPTQ layer of random codes, symmetric, groups of 128, in its own order, [size, size]. */
export function largeLayer(bits: 4 | 8, size: number): LargeLayer {
  const groups = size / 128;
  const random = seeded(bits);
  const words = (count: number, make: () => number) => new Uint8Array(Int32Array.from({length: count}, make).buffer);
  const perWord = 32 / bits;
  // One less than 2^(bits-1) in every field, as the first version of the format stores it.
  const zero = bits === 4 ? 0x77777777 : 0x7f7f7f7f;
  const tensors = [
    {name: 'fc.qweight', dtype: 'I32', shape: [size / perWord, size], data: words((size / perWord) * size, () => (random() * 2 ** 32) | 0)},
    {name: 'fc.qzeros', dtype: 'I32', shape: [groups, size / perWord], data: words((groups * size) / perWord, () => zero)},
    {name: 'fc.scales', dtype: 'F16', shape: [groups, size], data: new Uint8Array(new Uint16Array(groups * size).fill(0x2000).buffer)},
    {name: 'fc.g_idx', dtype: 'I32', shape: [size], data: new Uint8Array(Int32Array.from({length: size}, (_, k) => k >> 7).buffer)},
  ] as const;
  const config = {quantization_config: {quant_method: 'gptq', bits, group_size: 128, sym: true, desc_act: false}};
  return {
    files: {'model.safetensors': writeSafetensors(tensors), 'config.json': jsonBytes(config)},
    fileBytes: tensors.reduce((sum, {data}) => sum + data.length, 0),
  };
}
