import {openCheckpoint, UnsupportedError} from '../../src/index.js';
import {toFloat32} from '../../src/io/plain_floats.js';
import {safetensorsFile} from './bytes_support.js';

/** The bytes of `values` in the middle of a longer buffer, with others on both sides. */
function windowOn(values: {readonly buffer: ArrayBufferLike; readonly byteLength: number}): Uint8Array {
  const bytes = new Uint8Array(values.byteLength + 24).fill(0x41);
  bytes.set(new Uint8Array(values.buffer), 8);
  return bytes.subarray(8, 8 + values.byteLength);
}

describe('toFloat32', () => {
  it('reads a window of a buffer: its bytes, and no others, of every type', () => {
    const cases: [string, {readonly buffer: ArrayBufferLike; readonly byteLength: number}, number[]][] = [
      ['F32', Float32Array.of(1.5, -2, 3), [1.5, -2, 3]],
      ['F16', Uint16Array.of(0x3c00, 0xc000, 0x3555), [1, -2, 0.333251953125]],
      ['BF16', Uint16Array.of(0x3f80, 0xc000), [1, -2]],
      ['F64', Float64Array.of(0.5, -1e300), [0.5, Number.NEGATIVE_INFINITY]],
      ['I64', BigInt64Array.of(5n, -(2n ** 40n)), [5, -(2 ** 40)]],
      ['U64', BigUint64Array.of(5n, 2n ** 63n), [5, 2 ** 63]],
      ['U32', Uint32Array.of(7, 2 ** 31), [7, 2 ** 31]],
      ['U16', Uint16Array.of(7, 65535), [7, 65535]],
      ['I32', Int32Array.of(7, -8), [7, -8]],
      ['I16', Int16Array.of(7, -8), [7, -8]],
      ['I8', Int8Array.of(7, -8, 127), [7, -8, 127]],
      ['U8', Uint8Array.of(7, 255), [7, 255]],
      ['BOOL', Uint8Array.of(1, 0), [1, 0]],
    ];
    for (const [dtype, values, expected] of cases) {
      const read = toFloat32(dtype, windowOn(values), 'bias');
      if (read === null) fail(`${dtype} is not read`);
      else
        expect([...read])
          .withContext(dtype)
          .toEqual(expected);
    }
    expect(toFloat32('Q4_0', new Uint8Array(18), 'bias')).toBeNull();
  });

  it('a tensor of another type is refused under its own name, with a prefix and without', async () => {
    for (const [name, where] of [
      ['phases', 'phases'],
      ['rope.phases', 'rope'],
    ]) {
      const header = {[name as string]: {dtype: 'C64', shape: [1], data_offsets: [0, 8]}};
      const checkpoint = await openCheckpoint({'model.safetensors': safetensorsFile(header, new Uint8Array(8))});
      const refused = new RegExp(`^${where}: expected tensors of one known format.*phases C64 \\[1\\]`);
      await expectAsync(checkpoint.tensor(name as string)).toBeRejectedWithError(UnsupportedError, refused);
      await checkpoint.close();
    }
  });
});
