/** Writes a safetensors file: the reference implementation's bytes for the same tensors. */
import {ArgumentError, ShapeError} from '../errors.js';
import {SAFETENSORS_DTYPES, type SafetensorsDtype, safetensorsBytes} from './safetensors_types.js';

export interface SafetensorsTensor {
  name: string;
  dtype: SafetensorsDtype;
  shape: readonly number[];
  /** The elements, little-endian, row by row. */
  data: Uint8Array;
}

/**
 * A whole file: header padded with spaces to a multiple of 8, tensors by falling width of their type and then by name, so that
 * each begins at a multiple of its element. Throws `ShapeError` where data, dtype and shape disagree, `ArgumentError` for a name used twice.
 */
export function writeSafetensors(tensors: readonly SafetensorsTensor[], metadata?: Readonly<Record<string, string>>): Uint8Array {
  const rank = (dtype: SafetensorsDtype): number => SAFETENSORS_DTYPES.indexOf(dtype);
  const sorted = [...tensors].sort((a, b) => rank(b.dtype) - rank(a.dtype) || compareUtf8(a.name, b.name));
  const entries: [string, unknown][] = metadata === undefined ? [] : [['__metadata__', metadata]];
  const names = new Set(['__metadata__']);
  let end = 0;
  for (const {name, dtype, shape, data} of sorted) {
    if (names.has(name)) throw new ArgumentError({where: 'writeSafetensors', expected: 'each name once', received: `'${name}'`});
    names.add(name);
    const expected = safetensorsBytes(dtype, shape);
    if (expected !== data.length) {
      throw new ShapeError({
        where: `writeSafetensors: '${name}'`,
        expected: `${expected ?? 'a whole number of'} bytes for ${dtype} of shape [${shape.join(', ')}]`,
        received: `${data.length}`,
      });
    }
    entries.push([name, {dtype, shape, data_offsets: [end, end + data.length]}]);
    end += data.length;
  }
  const header = new TextEncoder().encode(jsonObject(entries));
  const headerLength = Math.ceil(header.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerLength + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.fill(0x20, 8 + header.length, 8 + headerLength);
  bytes.set(header, 8);
  let position = 8 + headerLength;
  for (const {data} of sorted) {
    bytes.set(data, position);
    position += data.length;
  }
  return bytes;
}

/** JSON.stringify of an object would put keys that look like numbers first. */
function jsonObject(entries: readonly [string, unknown][]): string {
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
}

/** Byte order, as the reference implementation compares names: UTF-16 order differs beyond the first 65536 characters. */
function compareUtf8(a: string, b: string): number {
  const x = [...a];
  const y = [...b];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const difference = (x[i]?.codePointAt(0) ?? 0) - (y[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}
