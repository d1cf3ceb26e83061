/** Buffers that hold file bytes. */
import {SourceError} from '../errors.js';

/** `length` zeroed bytes. Throws `SourceError` where the machine will not give them. */
export function allocate(name: string, length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new SourceError(
      {
        where: name,
        expected: `${length} bytes of memory for one read`,
        received: 'a refusal by the JavaScript engine',
        why: 'One tensor is read as one buffer.',
      },
      {cause},
    );
  }
}

/** Bytes [begin, end) of the parts laid end to end, or up to their end, as an array of its own. */
export function join(name: string, parts: readonly Uint8Array[], begin = 0, end = Number.POSITIVE_INFINITY): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = allocate(name, Math.max(0, Math.min(end, length) - begin));
  let start = -begin;
  for (const part of parts) {
    const from = Math.max(0, -start);
    const to = Math.min(part.length, bytes.length - start);
    if (from < to) bytes.set(part.subarray(from, to), start + from);
    start += part.length;
  }
  return bytes;
}
