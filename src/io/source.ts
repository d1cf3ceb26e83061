/** Bytes by range, and the sets of files they come from: what every container reader stands on. */
import {ArgumentError, SourceError} from '../errors.js';
import {openNodePath} from './file_source.js';
import {blobFiles, bufferFiles} from './memory_source.js';
import {inNode, nodeModule} from './node_module.js';
import type {OnProgress} from './progress.js';
import {openUrl} from './url_files.js';

/** A range to be read in pieces. */
export interface Pieces {
  readonly begin: number;
  readonly end: number;
  /** A piece is a whole number of so many bytes, unless the file ends first. */
  readonly unit: number;
  /** Up to where reading likely goes on. */
  readonly onward?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hears how many bytes have come so far. */
  readonly onBytes?: ((received: number) => void) | undefined;
}

export interface ByteSource {
  readonly name: string;
  /** Bytes in the file, or null where they are not known (yet): a server need not say. */
  readonly size: number | null;
  /**
   * Bytes [begin, end); fewer only where the file ends before `end`. The array is the caller's own and begins its own
   * buffer, so that any typed array may be laid over it. `onBytes` hears how many of them have come so far. Reads may overlap in time.
   * `onward`: up to where reading likely goes on, if that is known; null: it does not go on, and is not to be led away from where it does.
   */
  read(begin: number, end: number, signal?: AbortSignal, onBytes?: (received: number) => void, onward?: number | null): Promise<Uint8Array>;
  /** The same in order and in pieces, each aligned for typed arrays and lent until the next is asked for; what comes next is on its way meanwhile. Without it, pieces are read one by one. */
  pieces?(range: Pieces): AsyncIterable<Uint8Array>;
  /** As read, straight into `target`, where there is no copy between. → bytes */
  fill?(target: Uint8Array, begin: number, signal?: AbortSignal, onBytes?: (received: number) => void): Promise<number>;
  /** [begin, end) will hardly be asked for again: a source that had to hold it may let it go. */
  release?(begin: number, end: number): void;
  close(): Promise<void>;
}

export interface FileSet {
  /** For messages: the folder, URL or kind of list. */
  readonly label: string;
  /** The one file that was asked for; files beside it may be opened too. Null where a folder or list was given. */
  readonly singleFile: string | null;
  /** Names of all files, without folders inside; null where they cannot be listed (a URL). */
  list(): string[] | null;
  /** Whether there is such a file. Throws `SourceError` where that cannot be found out. */
  has(name: string): Promise<boolean>;
  /** Throws `MissingError` where there is no such file (a URL: at the first read). */
  open(name: string): Promise<ByteSource>;
  /** Closes whatever is open still. */
  close(): Promise<void>;
}

/**
 * A path (Node) or http, https or file URL, of a folder or of one file (a URL is a file's where its path ends in .safetensors
 * or .gguf, a folder's otherwise; its query goes with every request); files picked in a page, or Blobs with a `name`;
 * or buffers by file name. Buffers must not be changed while in use.
 */
export type SourceInput = string | URL | Blob | ArrayLike<Blob> | Readonly<Record<string, ArrayBuffer | Uint8Array>>;

export interface SourceOptions {
  /** Hears how much has been read; see `ProgressEvent`. */
  onProgress?: OnProgress | undefined;
  /** Ends whatever is being read, and every later read: they reject with its reason. */
  signal?: AbortSignal | undefined;
}

/** Finds out what `source` is. Reads nothing of a URL. Throws `ArgumentError` for anything else, `MissingError` for a path that is not there, `SourceError` for one that cannot be read. */
export async function openFileSet(source: SourceInput, {signal}: Pick<SourceOptions, 'signal'> = {}): Promise<FileSet> {
  signal?.throwIfAborted();
  if (source instanceof URL) return openText(source.href);
  if (typeof source === 'string') return openText(source);
  if (source instanceof Blob) return blobFiles([source]);
  if (isArrayOfBlobs(source)) return blobFiles(Array.from(source));
  if (isRecordOfBuffers(source)) return bufferFiles(source);
  throw new ArgumentError({
    where: 'source',
    expected:
      'a path or URL of a folder or of one .safetensors or .gguf file, Files or named Blobs, or {fileName: ArrayBuffer | Uint8Array}',
    received: describe(source),
  });
}

async function openText(text: string): Promise<FileSet> {
  if (text === '') throw new ArgumentError({where: 'source', expected: 'a path or URL', received: "''"});
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  const node = inNode();
  if (scheme === 'http' || scheme === 'https') return openUrl(new URL(text));
  if (scheme === 'file' && node) {
    const {fileURLToPath} = await nodeModule('node:url');
    return openNodePath(fileURLToPath(text));
  }
  if (scheme === undefined && /^(?:blob|data):/i.test(text)) {
    throw new SourceError({
      where: text.slice(0, 60),
      expected: 'a path, or a URL with a file name',
      received: `a ${text.slice(0, 5)} URL`,
      why: 'It names no file, so what it holds, and what lies beside it, cannot be known.',
      remedy: "Pass the Blob itself with a name, or {'model.safetensors': bytes}.",
    });
  }
  if (scheme !== undefined) {
    throw new SourceError({
      where: text,
      expected: node ? 'an http, https or file URL' : 'an http or https URL',
      received: `the scheme '${scheme}'`,
      remedy: "Pass a page's files as File objects.",
    });
  }
  // In a page a bare path is a URL relative to the page.
  return node ? openNodePath(text) : openUrl(new URL(text, globalThis.location?.href));
}

function isArrayOfBlobs(source: unknown): source is ArrayLike<Blob> {
  if (typeof source !== 'object' || source === null) return false;
  if (typeof (source as {length?: unknown}).length !== 'number' || ArrayBuffer.isView(source)) return false;
  return Array.from(source as ArrayLike<unknown>).every((item) => item instanceof Blob);
}

function isRecordOfBuffers(source: unknown): source is Readonly<Record<string, ArrayBuffer | Uint8Array>> {
  if (typeof source !== 'object' || source === null || Array.isArray(source) || ArrayBuffer.isView(source) || isBuffer(source))
    return false;
  return Object.values(source).every((value) => value instanceof Uint8Array || isBuffer(value));
}

/** By name and not by class: a buffer may come from another frame or, in tests, another realm. */
function isBuffer(value: unknown): value is ArrayBuffer {
  const tag = Object.prototype.toString.call(value);
  return tag === '[object ArrayBuffer]' || tag === '[object SharedArrayBuffer]';
}

function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value);
  if (ArrayBuffer.isView(value) || isBuffer(value)) return 'bytes without a file name';
  return Array.isArray(value)
    ? 'an array of something else'
    : `an object with the keys ${Object.keys(value).slice(0, 5).join(', ') || '(none)'}`;
}
