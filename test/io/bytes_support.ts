/** Files built from a few bytes: each spec changes the one thing it is about. */
import type {ByteSource} from '../../src/io/source.js';

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}

/** 0, 1, 2 ... modulo 251, so that no two nearby stretches are equal. */
export function ramp(length: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (from + i) % 251;
  return bytes;
}

/** The first place where two arrays differ, or -1: millions of bytes compared in no time, unlike by toEqual. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (a[i] !== b[i]) return i;
  return -1;
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

export function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** A safetensors file: the header as given, in text or as an object, and data. */
export function safetensorsFile(header: string | object | Uint8Array, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = header instanceof Uint8Array ? header : bytesOf(typeof header === 'string' ? header : JSON.stringify(header));
  return concat(u64(json.length), json, data);
}

export function ggufText(text: string | Uint8Array): Uint8Array {
  const bytes = typeof text === 'string' ? bytesOf(text) : text;
  return concat(u64(bytes.length), bytes);
}

/** One metadata entry; `value` is the value's bytes. */
export function ggufEntry(key: string, kind: number, value: Uint8Array): Uint8Array {
  return concat(ggufText(key), u32(kind), value);
}

/** One entry of the tensor list, dimensions innermost first as in the file. */
export function ggufListed(name: string, dimensions: readonly (number | bigint)[], type: number, offset: number | bigint): Uint8Array {
  return concat(ggufText(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset));
}

export interface GgufParts {
  version?: number;
  metadata?: readonly Uint8Array[];
  tensors?: readonly Uint8Array[];
  alignment?: number;
  data?: Uint8Array;
  tensorCount?: number | bigint;
  metadataCount?: number | bigint;
}

/** A GGUF file; the header is padded to `alignment` (32) before the data. */
export function ggufFile({
  version = 3,
  metadata = [],
  tensors = [],
  alignment = 32,
  data = new Uint8Array(0),
  ...counts
}: GgufParts): Uint8Array {
  const {tensorCount = tensors.length, metadataCount = metadata.length} = counts;
  const header = concat(bytesOf('GGUF'), u32(version), u64(tensorCount), u64(metadataCount), ...metadata, ...tensors);
  return concat(header, new Uint8Array(Math.ceil(header.length / alignment) * alignment - header.length), data);
}

/** A source over `bytes` that notes every range asked of it. `size` null hides the length, as a server may. */
export function noted(
  bytes: Uint8Array,
  name = 'file',
  size: number | null = bytes.length,
): {source: ByteSource; reads: [number, number][]} {
  const reads: [number, number][] = [];
  const source: ByteSource = {
    name,
    size,
    async read(begin, end) {
      reads.push([begin, end]);
      return bytes.slice(begin, end);
    },
    async close() {},
  };
  return {source, reads};
}

/** What the promise was rejected with. Fails the spec where it was not. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  const outcome = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(outcome instanceof Error)) throw new Error('expected a rejection');
  return outcome;
}
