/**
 * The header of a safetensors file: eight bytes of length, then JSON, then the tensors' bytes, end to end.
 * https://huggingface.co/docs/safetensors; where the text is silent we refuse what the reference implementation refuses.
 */
import {didYouMean, FileFormatError} from '../errors.js';
import {join} from './bytes.js';
import {isSafetensorsDtype, SAFETENSORS_BITS, SAFETENSORS_DTYPES, type SafetensorsDtype, safetensorsBytes} from './safetensors_types.js';
import type {ByteSource} from './source.js';
import {decodeUtf8, parseJsonUniqueKeys} from './text.js';

export {writeSafetensors} from './safetensors_writer.js';

/** One tensor of a file. */
export interface SafetensorsEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** First byte, counted from the beginning of the file. Not aligned to anything. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** By name, in the header's order. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** The free texts under `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The reference implementation refuses a longer one. An entry takes about 120 bytes, so this is room for some 800,000 tensors in one file. */
export const MAX_HEADER_BYTES = 100_000_000;
/** PyTorch's own limit. The weights of models have up to 5, those of a 3-D convolution. */
export const MAX_DIMENSIONS = 64;
/** The first read. Most headers lie in it whole: 256 KiB hold about 2,000 tensors. */
const FIRST_READ_BYTES = 256 * 2 ** 10;
const LENGTH_BYTES = 8;

/**
 * Reads and checks a header, and nothing of the tensors but what shares the first 256 KiB with it. Throws `FileFormatError`
 * for a file that is not valid, naming the tensor, and what the source throws.
 */
export async function readSafetensorsHeader(source: ByteSource, signal?: AbortSignal): Promise<SafetensorsHeader> {
  const first = await source.read(0, FIRST_READ_BYTES, signal);
  if (first.length < LENGTH_BYTES) {
    throw new FileFormatError({where: source.name, expected: 'a safetensors file of at least 8 bytes', received: `${first.length} bytes`});
  }
  const declared = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_BYTES)) {
    throw new FileFormatError({
      where: source.name,
      expected: `a header of at most ${MAX_HEADER_BYTES} bytes`,
      received: `one of ${declared}`,
      why: "The reference implementation refuses longer ones too. Or this is not a safetensors file: it begins with its header's length.",
    });
  }
  const dataStart = LENGTH_BYTES + Number(declared);
  const bytes = dataStart <= first.length ? first.subarray(0, dataStart) : await extend(source, first, dataStart, signal);
  if (bytes.length < dataStart) {
    throw new FileFormatError({where: source.name, expected: `a header of ${declared} bytes`, received: `a file of ${bytes.length} bytes`});
  }
  return parseHeader(bytes.subarray(LENGTH_BYTES), source.name, dataStart, source.size);
}

async function extend(source: ByteSource, first: Uint8Array, end: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
  // Nothing is allocated for a length that the file cannot have.
  if (source.size !== null && source.size < end) return first;
  return join(source.name, [first, await source.read(first.length, end, signal)]);
}

function parseHeader(json: Uint8Array, file: string, dataStart: number, fileSize: number | null): SafetensorsHeader {
  const text = decodeUtf8(json, `${file}: header`, true);
  if (!text.startsWith('{')) {
    throw new FileFormatError({where: `${file}: header`, expected: "JSON that begins with '{'", received: `'${text.slice(0, 12)}'`});
  }
  const tensors = new Map<string, SafetensorsEntry>();
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(parseJsonUniqueKeys(text, `${file}: header`) as object)) {
    if (name === '__metadata__') metadata = parseMetadata(value, file);
    else tensors.set(name, parseEntry(value, `${file}: tensor '${name}'`, dataStart));
  }
  checkCover(tensors, file, dataStart, fileSize);
  return {tensors, metadata};
}

function parseMetadata(value: unknown, file: string): Readonly<Record<string, string>> {
  if (value === null) return {};
  const texts = typeof value === 'object' && !Array.isArray(value) ? Object.entries(value) : null;
  const bad = texts?.find(([, text]) => typeof text !== 'string');
  if (texts === null || bad !== undefined) {
    throw new FileFormatError({
      where: `${file}: __metadata__`,
      expected: 'an object of texts',
      received: bad === undefined ? JSON.stringify(value) : `${JSON.stringify(bad[1])} under '${bad[0]}'`,
    });
  }
  return Object.fromEntries(texts);
}

function parseEntry(value: unknown, where: string, dataStart: number): SafetensorsEntry {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FileFormatError({where, expected: '{dtype, shape, data_offsets}', received: JSON.stringify(value)});
  }
  const {dtype, shape, data_offsets: offsets, ...others} = value as Record<string, unknown>;
  const unknownKey = Object.keys(others)[0];
  if (unknownKey !== undefined) {
    throw new FileFormatError({where, expected: 'only dtype, shape and data_offsets', received: `the key '${unknownKey}'`});
  }
  if (!isSafetensorsDtype(dtype)) {
    throw new FileFormatError({
      where,
      expected: `a dtype of ${SAFETENSORS_DTYPES.join(', ')}`,
      received: `dtype ${JSON.stringify(dtype)}`,
      why: `How many bits it has is not known, so its numbers cannot be read.${didYouMean(String(dtype), SAFETENSORS_DTYPES)}`,
    });
  }
  const dimensions = parseSizes(shape, where, 'shape');
  if (dimensions.length > MAX_DIMENSIONS) {
    throw new FileFormatError({where, expected: `at most ${MAX_DIMENSIONS} dimensions`, received: `${dimensions.length}`});
  }
  const [begin, end, ...more] = parseSizes(offsets, where, 'data_offsets');
  if (begin === undefined || end === undefined || more.length > 0) {
    throw new FileFormatError({where, expected: 'data_offsets [begin, end]', received: JSON.stringify(offsets)});
  }
  if (begin > end) throw new FileFormatError({where, expected: 'data_offsets with begin <= end', received: `[${begin}, ${end}]`});
  checkSize(dtype, dimensions, end - begin, where);
  return {dtype, shape: dimensions, begin: dataStart + begin, end: dataStart + end};
}

/** A list of whole numbers from 0 to 2^53 - 1. Larger ones have lost bits by the time JSON has read them. */
function parseSizes(value: unknown, where: string, key: string): number[] {
  if (!Array.isArray(value))
    throw new FileFormatError({where, expected: `${key} to be a list of numbers`, received: JSON.stringify(value) ?? 'none'});
  for (const item of value as unknown[]) {
    if (!Number.isSafeInteger(item) || (item as number) < 0) {
      throw new FileFormatError({where, expected: `${key} of whole numbers from 0 to 2^53 - 1`, received: JSON.stringify(value)});
    }
  }
  return value as number[];
}

function checkSize(dtype: SafetensorsDtype, shape: readonly number[], length: number, where: string): void {
  const expected = safetensorsBytes(dtype, shape);
  if (expected === length) return;
  const bits = SAFETENSORS_BITS[dtype];
  throw new FileFormatError({
    where,
    expected:
      expected === null
        ? `a shape whose elements of ${bits} bits fill whole bytes, fewer than 2^53 bits in all`
        : `${expected} bytes for ${dtype} of shape [${shape.join(', ')}]`,
    received: `${length} bytes for ${dtype} of shape [${shape.join(', ')}]`,
  });
}

/** The tensors must fill the rest of the file end to end: a hole could hide something, an overlap is two names for one thing. */
function checkCover(tensors: ReadonlyMap<string, SafetensorsEntry>, file: string, dataStart: number, fileSize: number | null): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let end = dataStart;
  let before = 'the header';
  for (const [name, entry] of inOrder) {
    const where = `${file}: tensor '${name}'`;
    if (fileSize !== null && entry.end > fileSize) {
      throw new FileFormatError({
        where,
        expected: `bytes within the file's ${fileSize}`,
        received: `bytes ${entry.begin} to ${entry.end}`,
        remedy: 'The download may be incomplete.',
      });
    }
    if (entry.begin !== end) {
      throw new FileFormatError({
        where,
        expected: `its first byte at ${end}, where ${before} ends`,
        received: `${entry.begin}, ${entry.begin < end ? 'which overlaps it' : 'which leaves a hole'}`,
      });
    }
    end = entry.end;
    before = `tensor '${name}'`;
  }
  if (fileSize !== null && end !== fileSize) {
    throw new FileFormatError({where: file, expected: `the file to end at byte ${end}, with ${before}`, received: `${fileSize} bytes`});
  }
}
