/**
 * The header of a GGUF file, versions 2 and 3: counts, metadata, the list of tensors, then the tensors' bytes at multiples of
 * an alignment. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import {FileFormatError, UnsupportedError} from '../errors.js';
import {join} from './bytes.js';
import {GgufCursor, NeedMoreBytes} from './gguf_cursor.js';
import {type GgufValue, readMetadata} from './gguf_metadata.js';
import {type GgufType, ggufType} from './gguf_types.js';
import type {ByteSource} from './source.js';

export type {GgufValue} from './gguf_metadata.js';

/** One tensor of a file. */
export interface GgufTensor {
  readonly name: string;
  /** ggml's name of the type: 'Q4_1'. */
  readonly type: string;
  /** Outermost dimension first, [N, K]; the file lists them the other way round. */
  readonly shape: readonly number[];
  /** First byte, counted from the beginning of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly version: 2 | 3;
  /** 64-bit numbers are bigint beyond 2^53 - 1. Bytes of texts that are not UTF-8 are U+FFFD. */
  readonly metadata: Readonly<Record<string, GgufValue>>;
  /** By name, in the header's order. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** The first read; a header that goes on is read in steps that double it. SmolLM2's, with a tokenizer of 49,152 tokens, takes 1.8 MB. */
const FIRST_READ_BYTES = 256 * 2 ** 10;
/** A model's header with its vocabulary; twice as much each time after. */
const SECOND_READ_BYTES = 2 * 2 ** 20;
/** A tokenizer of 262,144 tokens takes some 10 MB; a file that asks for 25 times that is broken or hostile. */
const MAX_HEADER_BYTES = 256 * 2 ** 20;
/** SmolLM2-135M has 272, a large model some thousand; experts kept as separate tensors make it some ten thousand. */
const MAX_TENSORS = 2 ** 17;
/** SmolLM2-135M has 33, and long model cards some dozens more. */
const MAX_METADATA = 2 ** 14;
/** ggml refuses names of 64 bytes and more, some of its forks allow longer ones. */
const MAX_NAME_BYTES = 1024;
/** ggml's GGML_MAX_DIMS. */
const MAX_DIMENSIONS = 4;
/** ggml's GGUF_DEFAULT_ALIGNMENT. */
const DEFAULT_ALIGNMENT = 32;

/** As the list gives it: its offset counts from the start of the data. */
interface Listed {
  readonly name: string;
  readonly type: GgufType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Reads and checks a header, and of the tensors nothing but what shares its last window. Throws `FileFormatError` for a file that
 * is not valid, naming the tensor or key, `UnsupportedError` for other versions, big-endian files and removed types, and what the source throws.
 */
export async function readGgufHeader(source: ByteSource, signal?: AbortSignal): Promise<GgufHeader> {
  let bytes = await source.read(0, FIRST_READ_BYTES, signal);
  for (;;) {
    try {
      return parseHeader(bytes, source);
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      // Twice as much each time: however long the header, it is parsed about twice in all.
      const end = Math.min(Math.max(error.end, 2 * bytes.length, SECOND_READ_BYTES), MAX_HEADER_BYTES);
      const more = error.end <= MAX_HEADER_BYTES ? await source.read(bytes.length, end, signal) : new Uint8Array(0);
      if (bytes.length + more.length < error.end) throw endsEarly(source, error, bytes.length + more.length);
      bytes = join(source.name, [bytes, more]);
    }
  }
}

function endsEarly(source: ByteSource, {end, reading}: NeedMoreBytes, length: number): FileFormatError {
  const where = `${source.name}: ${reading}`;
  if (end > MAX_HEADER_BYTES)
    return new FileFormatError({where, expected: `a header of at most ${MAX_HEADER_BYTES} bytes`, received: `one of at least ${end}`});
  return new FileFormatError({
    where,
    expected: `a file of at least ${end} bytes`,
    received: `${length} bytes`,
    remedy: 'The download may be incomplete.',
  });
}

function parseHeader(bytes: Uint8Array, source: ByteSource): GgufHeader {
  const cursor = new GgufCursor(bytes, source.name);
  const version = readVersion(cursor);
  const tensorCount = cursor.count('a number of tensors', MAX_TENSORS, 'A large model has some thousand.');
  const metadataCount = cursor.count('a number of metadata keys', MAX_METADATA, 'Files have some dozens.');
  const metadata = readMetadata(cursor, metadataCount);
  cursor.reading = "metadata 'general.alignment'";
  const alignment = alignmentOf(cursor, metadata['general.alignment']);
  const listed = readTensorList(cursor, tensorCount);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const {name, type, shape, offset, bytes: length} of listed) {
    cursor.reading = `tensor '${name}'`;
    if (tensors.has(name)) throw cursor.error('each name once', 'two tensors of this name');
    if (offset % alignment !== 0) throw cursor.error(`an offset that is a multiple of the alignment, ${alignment}`, `${offset}`);
    const begin = dataStart + offset;
    if (!Number.isSafeInteger(begin + length)) throw cursor.error('an end below 2^53', `offset ${offset}, ${length} bytes`);
    tensors.set(name, {name, type: type.name, shape, begin, end: begin + length});
  }
  checkPlaces(cursor, tensors, source.size);
  return {version, metadata, tensors};
}

function readVersion(cursor: GgufCursor): 2 | 3 {
  const magic = String.fromCharCode(cursor.u8(), cursor.u8(), cursor.u8(), cursor.u8());
  if (magic !== 'GGUF') throw cursor.error("the letters 'GGUF'", JSON.stringify(magic), 'This is not a GGUF file.');
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  const bigEndian = version !== 0 && (version & 0xffff) === 0;
  throw new UnsupportedError({
    where: cursor.file,
    expected: 'GGUF version 2 or 3, little-endian',
    received: bigEndian ? `a big-endian file of version ${version >>> 24}` : `version ${version}`,
    ...(version === 1
      ? {why: 'Version 1 was replaced in August 2023.', remedy: 'Convert it with a llama.cpp of that year, or take a newer file.'}
      : {}),
  });
}

/** The format asks for a multiple of 8, ggml for a power of two; either is read. */
function alignmentOf(cursor: GgufCursor, value: GgufValue | undefined): number {
  if (value === undefined) return DEFAULT_ALIGNMENT;
  const isPower = typeof value === 'number' && Number.isInteger(Math.log2(value));
  if (typeof value === 'number' && value > 0 && value < 2 ** 31 && (isPower || value % 8 === 0)) return value;
  throw cursor.error(
    'a power of two or a multiple of 8, below 2^31',
    typeof value === 'object' ? 'an array' : JSON.stringify(String(value)),
  );
}

function readTensorList(cursor: GgufCursor, count: number): Listed[] {
  const listed: Listed[] = [];
  for (let i = 0; i < count; i++) {
    cursor.reading = `tensor ${i + 1} of ${count}`;
    const name = cursor.text('a name', MAX_NAME_BYTES, 'ggml itself allows 63.', true);
    cursor.reading = `tensor '${name}'`;
    const rank = cursor.u32();
    if (rank > MAX_DIMENSIONS) throw cursor.error(`at most ${MAX_DIMENSIONS} dimensions`, `${rank}`);
    const innermostFirst = Array.from({length: rank}, () =>
      cursor.count('a dimension', Number.MAX_SAFE_INTEGER, 'No tensor is that large.'),
    );
    const type = ggufType(cursor.u32(), `${cursor.file}: ${cursor.reading}`);
    const offset = cursor.count('an offset', Number.MAX_SAFE_INTEGER, 'No file is that long.');
    listed.push({name, type, shape: innermostFirst.reverse(), offset, bytes: byteLength(cursor, type, innermostFirst)});
  }
  return listed;
}

/** `shape` outermost first. */
function byteLength(cursor: GgufCursor, {name, blockElements, blockBytes}: GgufType, shape: readonly number[]): number {
  const row = shape[shape.length - 1] ?? 1;
  if (row % blockElements !== 0) {
    throw cursor.error(
      `rows of a multiple of ${blockElements} elements, the block of ${name}`,
      `rows of ${row}`,
      `${row} = ${Math.floor(row / blockElements)} x ${blockElements} + ${row % blockElements}, and a block does not span two rows.`,
    );
  }
  let bytes = (row / blockElements) * blockBytes;
  for (const dimension of shape.slice(0, -1)) {
    bytes *= dimension;
    if (!Number.isSafeInteger(bytes)) throw cursor.error('fewer than 2^53 bytes', `shape [${shape.join(', ')}]`);
  }
  if (!Number.isSafeInteger(bytes)) throw cursor.error('fewer than 2^53 bytes', `shape [${shape.join(', ')}]`);
  return bytes;
}

/** Between tensors there may be padding, but no two may share bytes and none may leave the file. */
function checkPlaces(cursor: GgufCursor, tensors: ReadonlyMap<string, GgufTensor>, fileSize: number | null): void {
  const filled = [...tensors.values()].filter(({begin, end}) => end > begin).sort((a, b) => a.begin - b.begin);
  let before: GgufTensor | undefined;
  for (const tensor of filled) {
    cursor.reading = `tensor '${tensor.name}'`;
    if (before !== undefined && tensor.begin < before.end) {
      throw cursor.error(`bytes after ${before.end}, where tensor '${before.name}' ends`, `bytes ${tensor.begin} to ${tensor.end}`);
    }
    if (fileSize !== null && tensor.end > fileSize) {
      throw cursor.error(
        `bytes within the file's ${fileSize}`,
        `bytes ${tensor.begin} to ${tensor.end}`,
        'The download may be incomplete.',
      );
    }
    before = tensor;
  }
}
