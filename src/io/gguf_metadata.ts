/** The key-value part of a GGUF header. */
import type {GgufCursor} from './gguf_cursor.js';

export type GgufValue = number | bigint | boolean | string | GgufValue[];

/** The format's own limit for keys, 2^16 - 1 bytes. */
const MAX_KEY_BYTES = 65_535;
/** The longest texts are tokenizer files kept whole: Gemma 3's has 33 MB. */
const MAX_TEXT_BYTES = 64 * 2 ** 20;
/** The longest arrays are tokens and merges: vocabularies in use have up to 262,144 tokens, and at most a few merges for each. */
const MAX_ARRAY_LENGTH = 2 ** 24;
/** Known keys hold flat arrays. Without a limit a small file could exhaust the stack. */
const MAX_ARRAY_DEPTH = 8;

const LONGEST_TEXT = 'The longest in use have about 33 MB.';

const TEXT = 8;
const ARRAY = 9;
/** Value kinds by number: what reads one, and how many bytes one takes at least. */
const READERS: Readonly<Record<number, {bytes: number; read: (cursor: GgufCursor) => GgufValue}>> = {
  0: {bytes: 1, read: (cursor) => cursor.u8()},
  1: {bytes: 1, read: (cursor) => cursor.i8()},
  2: {bytes: 2, read: (cursor) => cursor.u16()},
  3: {bytes: 2, read: (cursor) => cursor.i16()},
  4: {bytes: 4, read: (cursor) => cursor.u32()},
  5: {bytes: 4, read: (cursor) => cursor.i32()},
  6: {bytes: 4, read: (cursor) => cursor.f32()},
  7: {bytes: 1, read: readBoolean},
  [TEXT]: {bytes: 8, read: (cursor) => cursor.text('a text', MAX_TEXT_BYTES, LONGEST_TEXT, false)},
  10: {bytes: 8, read: (cursor) => cursor.u64()},
  11: {bytes: 8, read: (cursor) => cursor.i64()},
  12: {bytes: 8, read: (cursor) => cursor.f64()},
};

/** `count` keys with their values. Throws `FileFormatError` for what is not valid, `NeedMoreBytes` where the bytes end. */
export function readMetadata(cursor: GgufCursor, count: number): Record<string, GgufValue> {
  const values = new Map<string, GgufValue>();
  const later = new Map<string, () => GgufValue>();
  for (let i = 0; i < count; i++) {
    cursor.reading = `metadata key ${i + 1} of ${count}`;
    const key = cursor.text('a key', MAX_KEY_BYTES, 'That is the limit of the format.', true);
    if (values.has(key)) throw cursor.error('each key once', `'${key}' twice`);
    cursor.reading = `metadata '${key}'`;
    const kind = cursor.u32();
    const texts = kind === ARRAY ? textsLater(cursor) : null;
    values.set(key, texts === null ? readValue(cursor, kind, 0) : '');
    if (texts !== null) later.set(key, texts);
  }
  // Own properties, whatever their names.
  const metadata = Object.fromEntries(values);
  for (const [key, read] of later) readOnce(metadata, key, read);
  return metadata;
}

/** An array of texts is a tokenizer's, of which layers need nothing: it is walked through, and decoded when it is asked for. null: another array. */
function textsLater(cursor: GgufCursor): (() => GgufValue) | null {
  const start = cursor.position;
  if (cursor.u32() !== TEXT) {
    cursor.position = start;
    return null;
  }
  const length = readLength(cursor, 8);
  const first = cursor.position;
  for (let i = 0; i < length; i++) cursor.skipText('a text', MAX_TEXT_BYTES, LONGEST_TEXT);
  return () => cursor.textsAt(first, length);
}

/** An enumerable property whose value is found out at its first use. */
function readOnce(object: Record<string, GgufValue>, key: string, read: () => GgufValue): void {
  const keep = (value: GgufValue): GgufValue => {
    Object.defineProperty(object, key, {value, enumerable: true, configurable: true, writable: true});
    return value;
  };
  Object.defineProperty(object, key, {get: () => keep(read()), set: keep, enumerable: true, configurable: true});
}

/** The length of an array whose elements take at least so many bytes. All of them must be there: the array is read again from its start otherwise. */
function readLength(cursor: GgufCursor, elementBytes: number): number {
  const length = cursor.count('an array length', MAX_ARRAY_LENGTH, 'The longest in use have some 500,000 entries.');
  const start = cursor.position;
  cursor.take(length * elementBytes);
  cursor.position = start;
  return length;
}

function readValue(cursor: GgufCursor, kind: number, depth: number): GgufValue {
  if (kind === ARRAY) return readArray(cursor, depth + 1);
  const reader = READERS[kind];
  if (reader === undefined) throw cursor.error('a kind of value from 0 to 12', `kind ${kind}`);
  return reader.read(cursor);
}

function readArray(cursor: GgufCursor, depth: number): GgufValue[] {
  if (depth > MAX_ARRAY_DEPTH) throw cursor.error(`arrays nested at most ${MAX_ARRAY_DEPTH} deep`, 'deeper ones');
  const kind = cursor.u32();
  const values: GgufValue[] = [];
  if (kind === ARRAY) {
    const length = readLength(cursor, 0);
    for (let i = 0; i < length; i++) values.push(readArray(cursor, depth + 1));
    return values;
  }
  const reader = READERS[kind];
  if (reader === undefined) throw cursor.error('a kind of array element from 0 to 12', `kind ${kind}`);
  const length = readLength(cursor, reader.bytes);
  for (let i = 0; i < length; i++) values.push(reader.read(cursor));
  return values;
}

function readBoolean(cursor: GgufCursor): boolean {
  const byte = cursor.u8();
  if (byte > 1) throw cursor.error('a boolean of 0 or 1', `${byte}`);
  return byte === 1;
}
