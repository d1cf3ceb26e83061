import {ArgumentError, ShapeError} from '../../src/errors.js';
import {readSafetensorsHeader, writeSafetensors} from '../../src/io/safetensors.js';
import {SAFETENSORS_BITS, SAFETENSORS_DTYPES} from '../../src/io/safetensors_types.js';
import {bytesOf, noted, ramp} from './bytes_support.js';

const floats = new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer);

describe('writeSafetensors', () => {
  it('writes what the reference implementation writes', () => {
    // The expected headers are those of the tests of huggingface/safetensors.
    const aligned = writeSafetensors([{name: 'attn.0', dtype: 'F32', shape: [1, 2, 3], data: floats}]);
    expect(aligned[0]).toBe(64);
    expect(new TextDecoder().decode(aligned.subarray(8, 72))).toBe('{"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}}');
    expect(aligned.subarray(72)).toEqual(floats);
    const padded = writeSafetensors([{name: 'attn0', dtype: 'F32', shape: [1, 1, 2, 3], data: floats}]);
    expect(padded[0]).toBe(72);
    expect(new TextDecoder().decode(padded.subarray(8, 80))).toBe(
      '{"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       ',
    );
    expect(writeSafetensors([])).toEqual(Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0, ...bytesOf('{}      ')));
    const noted = writeSafetensors([], {framework: 'pt'});
    expect(new TextDecoder().decode(noted.subarray(8))).toBe('{"__metadata__":{"framework":"pt"}}     ');
  });

  it('puts wide types first, then names in byte order, so that every tensor is aligned', async () => {
    const file = writeSafetensors([
      {name: 'u8', dtype: 'U8', shape: [3], data: ramp(3)},
      {name: 'f16', dtype: 'F16', shape: [1], data: ramp(2, 10)},
      {name: '\u{1f600}', dtype: 'F32', shape: [1], data: ramp(4, 20)},
      {name: '\uffee', dtype: 'F32', shape: [1], data: ramp(4, 30)},
      {name: '10', dtype: 'I64', shape: [1], data: ramp(8, 40)},
    ]);
    const {tensors} = await readSafetensorsHeader(noted(file).source);
    const byPlace = [...tensors].sort(([, a], [, b]) => a.begin - b.begin);
    expect(byPlace.map(([name]) => name)).toEqual(['10', '\uffee', '\u{1f600}', 'f16', 'u8']);
    for (const [name, {dtype, begin}] of byPlace)
      expect(begin % (SAFETENSORS_BITS[dtype] / 8))
        .withContext(name)
        .toBe(0);
    const {begin, end} = tensors.get('\uffee')!;
    expect(file.slice(begin, end)).toEqual(ramp(4, 30));
  });

  it('is read back, for every type', async () => {
    const tensors = SAFETENSORS_DTYPES.map((dtype, i) => ({name: dtype, dtype, shape: [2, 4], data: ramp(SAFETENSORS_BITS[dtype], i)}));
    const file = writeSafetensors(tensors, {note: 'a "quoted"\n text'});
    const header = await readSafetensorsHeader(noted(file).source);
    expect(header.metadata).toEqual({note: 'a "quoted"\n text'});
    expect(header.tensors.size).toBe(22);
    for (const {name, data} of tensors) {
      const entry = header.tensors.get(name)!;
      expect(entry.dtype).toBe(name);
      expect(file.slice(entry.begin, entry.end)).withContext(name).toEqual(data);
    }
  });

  it('refuses data that does not fit, and a name used twice', () => {
    const tensor = {name: 'a', dtype: 'F32' as const, shape: [2], data: ramp(8)};
    expect(() => writeSafetensors([{...tensor, data: ramp(7)}])).toThrowError(ShapeError, /'a'.*8 bytes for F32 of shape \[2\].*7/);
    expect(() => writeSafetensors([tensor, tensor])).toThrowError(ArgumentError, /'a'/);
    expect(() => writeSafetensors([{...tensor, name: '__metadata__'}])).toThrowError(ArgumentError, /__metadata__/);
    expect(writeSafetensors([tensor]).length % 8).toBe(0);
  });
});
