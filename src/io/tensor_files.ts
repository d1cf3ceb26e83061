/** Named tensors, whatever container they lie in: the one view that everything after the files has of them. */
import {didYouMean, MissingError, SourceError} from '../errors.js';
import {chooseFiles} from './choose_files.js';
import {openGguf} from './gguf_files.js';
import {inPieces} from './pieces.js';
import {Progress} from './progress.js';
import {runEnds} from './runs.js';
import {openIndexed, openSafetensors} from './safetensors_files.js';
import {type FileSet, openFileSet, type SourceInput, type SourceOptions} from './source.js';
import type {StoredTensor, TensorInfo, TensorTable} from './tensor_table.js';
import {parsePythonJson, readText} from './text.js';

export type {TensorInfo} from './tensor_table.js';

export interface TensorFiles {
  readonly container: 'safetensors' | 'gguf';
  /** Names as in the files, in the files' order. */
  names(): string[];
  info(name: string): TensorInfo | undefined;
  /** Whether one tensor's bytes come soon after another's. */
  follows(name: string, before: string): boolean;
  /**
   * The tensor's bytes as in the file, in a buffer of their own that belongs to the caller. Reads may overlap in time. `signal`
   * stands in for the one given at opening. `next` names a tensor that is read after this one. Throws `MissingError` for an unknown name,
   * `SourceError` where the bytes cannot be read now.
   */
  read(name: string, signal?: AbortSignal, next?: string): Promise<Uint8Array>;
  /**
   * The same in pieces of whole rows of `rowBytes` bytes, in order, the next on its way while one is used. A piece is lent until the next is asked
   * for; about two are held.
   */
  pieces(name: string, rowBytes: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** All of the tensor's bytes straight into `target`. → false, and nothing is read, where they have to be copied anyway: `pieces` holds less then. */
  fill(name: string, target: Uint8Array, signal?: AbortSignal): Promise<boolean>;
  /** GGUF metadata, or the free texts of safetensors. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** A JSON file beside the tensors, or null where there is none. Throws `FileFormatError` where it is not JSON. */
  json(fileName: string): Promise<unknown | null>;
  /** A text file beside the tensors, or null where there is none. */
  text(fileName: string): Promise<string | null>;
  close(): Promise<void>;
}

/**
 * Finds the files and reads their headers. Throws `FileFormatError` for files that will never be valid, `UnsupportedError` for
 * ones we do not read or cannot choose between, `MissingError` and `SourceError`; every file is closed then.
 */
export async function openTensorFiles(source: SourceInput, options: SourceOptions = {}): Promise<TensorFiles> {
  return openTensorFilesOf(await openFileSet(source, options), options);
}

/** The same for files from anywhere; they are closed with the result, or on failure. */
export async function openTensorFilesOf(files: FileSet, {onProgress, signal}: SourceOptions = {}): Promise<TensorFiles> {
  const progress = new Progress(onProgress);
  try {
    signal?.throwIfAborted();
    const choice = await chooseFiles(files);
    const onOpening = (file: string): void => progress.opening(file);
    const open = (): Promise<TensorTable> => {
      if ('index' in choice) return openIndexed(files, choice.index, onOpening, signal);
      return (choice.container === 'gguf' ? openGguf : openSafetensors)(files, choice.files, onOpening, signal);
    };
    const table = await open();
    progress.start([...table.tensors.values()].reduce((sum, {byteLength}) => sum + byteLength, 0));
    return new OpenTensorFiles(files, choice.container, table, progress, signal);
  } catch (error) {
    await files.close();
    throw error;
  }
}

/** A tensor so far behind the one that is read next, if that one is as long, is fetched apart. */
export const FAR_BYTES = 2 * 2 ** 20;

function cutShort({file, name, begin, byteLength}: StoredTensor, received: number): SourceError {
  return new SourceError({
    where: `${file}: tensor '${name}'`,
    expected: `bytes ${begin} to ${begin + byteLength}`,
    received: `a file that ends at ${begin + received}`,
    remedy: 'The download may be incomplete.',
  });
}

class OpenTensorFiles implements TensorFiles {
  private readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Filled at the first question. */
  private ends: ReadonlyMap<StoredTensor, number> | null = null;
  readonly metadata: Readonly<Record<string, unknown>>;

  constructor(
    private readonly files: FileSet,
    readonly container: 'safetensors' | 'gguf',
    table: TensorTable,
    private readonly progress: Progress,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.tensors = table.tensors;
    this.metadata = table.metadata;
  }

  names(): string[] {
    return [...this.tensors.keys()];
  }

  info(name: string): TensorInfo | undefined {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) return undefined;
    const {dtype, shape, byteLength, container, file} = tensor;
    return {name, dtype, shape, byteLength, container, file};
  }

  follows(name: string, before: string): boolean {
    const [next, last] = [this.stored(name), this.stored(before)];
    const gap = next.begin - last.begin - last.byteLength;
    return next.source === last.source && gap >= 0 && gap <= FAR_BYTES;
  }

  private stored(name: string): StoredTensor {
    const tensor = this.tensors.get(name);
    if (tensor !== undefined) return tensor;
    throw new MissingError({
      where: this.files.label,
      expected: `a tensor '${name}'`,
      received: `none among ${this.tensors.size}.${didYouMean(name, this.tensors.keys())}`,
    });
  }

  async read(name: string, signal = this.signal, next?: string): Promise<Uint8Array> {
    const tensor = this.stored(name);
    const {source, file, begin, byteLength} = tensor;
    const onBytes = (received: number): void => this.progress.received(name, file, received);
    const following = next === undefined ? undefined : this.tensors.get(next);
    // A short one is over before another request is answered.
    const apart = following?.source === source && following.byteLength > FAR_BYTES && begin - following.begin > FAR_BYTES;
    const bytes = await source.read(begin, begin + byteLength, signal, onBytes, apart ? null : this.onward(tensor));
    source.release?.(begin, begin + byteLength);
    if (bytes.length === byteLength) return bytes;
    throw cutShort(tensor, bytes.length);
  }

  async *pieces(name: string, rowBytes: number, signal = this.signal): AsyncGenerator<Uint8Array, void, undefined> {
    const tensor = this.stored(name);
    const {source, file, begin, byteLength} = tensor;
    const onBytes = (count: number): void => this.progress.received(name, file, count);
    const range = {begin, end: begin + byteLength, unit: rowBytes, onward: this.onward(tensor), signal, onBytes};
    let received = 0;
    for await (const piece of source.pieces?.(range) ?? inPieces(range, (from, to) => source.read(from, to, signal))) {
      source.release?.(begin + received, begin + received + piece.length);
      received += piece.length;
      // A part of a row is of no use to anyone.
      if (piece.length % rowBytes !== 0) break;
      yield piece;
    }
    if (received !== byteLength) throw cutShort(tensor, received);
  }

  async fill(name: string, target: Uint8Array, signal = this.signal): Promise<boolean> {
    const tensor = this.stored(name);
    const {source, file, begin, byteLength} = tensor;
    if (source.fill === undefined) return false;
    const filled = await source.fill(target, begin, signal, (received) => this.progress.received(name, file, received));
    if (filled !== byteLength) throw cutShort(tensor, filled);
    return true;
  }

  private onward(tensor: StoredTensor): number {
    this.ends ??= runEnds(this.tensors.values());
    return this.ends.get(tensor) ?? 0;
  }

  async json(fileName: string): Promise<unknown | null> {
    const text = await this.text(fileName);
    return text === null ? null : parsePythonJson(text, `${this.files.label}: ${fileName}`);
  }

  async text(fileName: string): Promise<string | null> {
    this.signal?.throwIfAborted();
    if (!(await this.files.has(fileName))) return null;
    const source = await this.files.open(fileName);
    try {
      return await readText(source, this.signal);
    } finally {
      await source.close();
    }
  }

  async close(): Promise<void> {
    await this.files.close();
    this.progress.finish();
  }
}
