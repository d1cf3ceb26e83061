/** Text and JSON out of bytes that nobody promised were good. */
import {FileFormatError, SourceError} from '../errors.js';
import {join} from './bytes.js';
import type {ByteSource} from './source.js';

/** Config and tokenizer files; Gemma 3's tokenizer.json has 33 MB. */
const MAX_TEXT_BYTES = 256 * 2 ** 20;
const FIRST_READ_BYTES = 256 * 2 ** 10;

/** A whole small text file as UTF-8. Throws `FileFormatError` where it is not, or is too long. */
export async function readText(source: ByteSource, signal?: AbortSignal): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length <= MAX_TEXT_BYTES) {
    // A server may tell the size with the first bytes, or never: then twice as much each time.
    const end = source.size ?? Math.max(FIRST_READ_BYTES, 2 * length);
    const part = await source.read(length, Math.min(end, MAX_TEXT_BYTES + 1), signal);
    length += part.length;
    parts.push(part);
    if (part.length === 0 || length === source.size) break;
  }
  if (length > MAX_TEXT_BYTES) {
    throw new FileFormatError({where: source.name, expected: `a text file of at most ${MAX_TEXT_BYTES} bytes`, received: 'more'});
  }
  if (source.size !== null && length < source.size) {
    throw new SourceError({where: source.name, expected: `${source.size} bytes`, received: `${length}`});
  }
  return decodeUtf8(join(source.name, parts), source.name);
}

/** Throws `FileFormatError` for bytes that are not UTF-8. A byte order mark is left out, unless `keepMark`. */
export function decodeUtf8(bytes: Uint8Array, where: string, keepMark = false): string {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: keepMark}).decode(bytes);
  } catch (cause) {
    throw new FileFormatError({where, expected: 'UTF-8 text', received: 'bytes that are not UTF-8'}, {cause});
  }
}

const NUMBERS: Readonly<Record<string, string>> = {Infinity: '1e999', '-Infinity': '-1e999', NaN: 'null'};

/** As parseJson, of a config: Python writes NaN, Infinity and -Infinity, which JSON does not have (Mamba's time_step_limit). NaN becomes null. */
export function parsePythonJson(text: string, where: string): unknown {
  return parseJson(
    text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) => NUMBERS[token] ?? token),
    where,
  );
}

/** Throws `FileFormatError` for text that is not JSON. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new FileFormatError({where, expected: 'JSON', received: cause instanceof Error ? cause.message : String(cause)}, {cause});
  }
}

/** The same, but refuses an object with two equal keys, of which `JSON.parse` silently keeps the last. */
export function parseJsonUniqueKeys(text: string, where: string): unknown {
  const value = parseJson(text, where);
  const key = repeatedKey(text);
  if (key === null) return value;
  throw new FileFormatError({
    where,
    expected: 'each key once',
    received: `the key '${key}' twice in one object`,
    why: 'Two readers would see two different files.',
  });
}

/** The first key that one object of `json`, which must be valid, has twice. */
function repeatedKey(json: string): string | null {
  // Keys of the objects we are inside; null for an array.
  const open: (Set<string> | null)[] = [];
  // A string directly after '{' or ',' of an object is a key.
  let before = '';
  const token = /["{}[\],]/g;
  for (let match = token.exec(json); match !== null; match = token.exec(json)) {
    const mark = match[0];
    if (mark === '{') open.push(new Set());
    else if (mark === '[') open.push(null);
    else if (mark === '}' || mark === ']') open.pop();
    else if (mark === '"') {
      const end = endOfString(json, match.index);
      token.lastIndex = end;
      const keys = open[open.length - 1];
      if (keys && (before === '{' || before === ',')) {
        const raw = json.slice(match.index, end);
        const key = raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
        if (keys.has(key)) return key;
        keys.add(key);
      }
    }
    before = mark;
  }
  return null;
}

/** The position after the string that begins at `start`. */
function endOfString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (backslashesBefore(json, end) % 2 === 1) end = json.indexOf('"', end + 1);
  return end + 1;
}

function backslashesBefore(json: string, position: number): number {
  let count = 0;
  while (json[position - 1 - count] === '\\') count++;
  return count;
}
