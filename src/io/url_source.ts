/** One file behind a URL, read by HTTP ranges; by its whole body once where the server does not know ranges (`held_body.ts`). */
import {MissingError} from '../errors.js';
import {abortable, eitherOf, withEither} from './abort.js';
import {allocate, join} from './bytes.js';
import {Flows} from './flows.js';
import {HeldBody} from './held_body.js';
import {inPieces, piecesOf} from './pieces.js';
import {ReadAhead} from './read_ahead.js';
import type {ByteSource, Pieces} from './source.js';
import {RemoteFile} from './url_request.js';

/** The unit of small reads and the first request. Holds the whole header of most safetensors files. */
export const BLOCK_BYTES = 256 * 2 ** 10;
/** Reads up to this length go through blocks: a module's scales, norms and biases lie side by side, and a request costs a round trip. */
const SMALL_BYTES = 2 * BLOCK_BYTES;
/** 4 MiB in all. */
const HELD_BLOCKS = 16;
/** So near the end of a block, the next one comes with it. */
const BESIDE_BYTES = 16 * 2 ** 10;
/** Blocks of one request, where reading goes forward. */
const LONGEST_RUN = 8;
/**
 * Reads in a row, each near the one before, show that the file is being read through: it is then fetched ahead. Either so many reads of some length,
 * or bytes beside which those fetched in vain are few.
 */
const READS_THAT_TELL = 12;
const BYTES_OF_READS_THAT_TELL = 2 ** 20;
const BYTES_THAT_TELL = 12 * 2 ** 20;
/** As many in one read do, too: beside those, what is fetched in vain is half as much at most. */
const BYTES_OF_LARGE = 8 * 2 ** 20;
const NEAR_BYTES = 8 * 2 ** 20;
const RECENT_READS = 8;

export class UrlSource implements ByteSource {
  private readonly remote: RemoteFile;
  private readonly stopped = new AbortController();
  private starting: Promise<void> | null = null;
  private held: HeldBody | null = null;
  /** Least recently used first. */
  private readonly blocks = new Map<number, Promise<Uint8Array>>();
  private ahead: ReadAhead | null = null;
  private flows: Flows | null = null;
  /** By the block after each request for blocks, how many that was: several parts of a file may be read through at a time. */
  private readonly runs = new Map<number, number>();
  private nearReads = 0;
  private nearBytes = 0;
  /** Where the last reads ended: a module's codes and scales may lie in two parts of the file, each read through. */
  private readonly recentEnds: number[] = [];

  constructor(
    url: string,
    readonly name: string,
    private readonly onClose: () => void = () => {},
  ) {
    this.remote = new RemoteFile(url, name);
  }

  get size(): number | null {
    return this.remote.size;
  }

  /** HTTP status of the last answer, null before the first. */
  get status(): number | null {
    return this.remote.status;
  }

  /** Whether there is such a file. Its first bytes are kept for the reads that follow. */
  async exists(signal?: AbortSignal): Promise<boolean> {
    try {
      await abortable(this.start(), signal);
      return true;
    } catch (error) {
      if (error instanceof MissingError) return false;
      throw error;
    }
  }

  async read(
    begin: number,
    end: number,
    signal?: AbortSignal,
    onBytes?: (received: number) => void,
    onward: number | null = 0,
  ): Promise<Uint8Array> {
    signal?.throwIfAborted();
    await abortable(this.start(), signal);
    if (this.held !== null) return this.held.read(begin, end, signal, onBytes);
    const stop = Math.min(end, this.size ?? end);
    if (begin >= stop) return new Uint8Array(0);
    const ahead = onward === null ? null : this.readAhead(begin, stop);
    if (ahead?.suits(stop - begin)) return ahead.read(begin, stop, signal, onBytes, onward ?? 0);
    const first = Math.floor(begin / BLOCK_BYTES);
    const last = Math.floor((stop - 1) / BLOCK_BYTES);
    // What lies beside it is a module's too.
    const near = Math.floor((Math.min(stop + BESIDE_BYTES, this.size ?? stop) - 1) / BLOCK_BYTES);
    if (stop - begin > SMALL_BYTES && first !== last) {
      return withEither(this.stopped.signal, signal, (either) => this.readRange(begin, stop, either, onBytes));
    }
    const parts = await Promise.all(Array.from({length: last - first + 1}, (_, i) => abortable(this.block(first + i, near), signal)));
    const bytes = join(this.name, parts, begin - first * BLOCK_BYTES, stop - first * BLOCK_BYTES);
    if (bytes.length > 0) onBytes?.(bytes.length);
    return bytes;
  }

  async *pieces(range: Pieces): AsyncGenerator<Uint8Array, void, undefined> {
    const {begin, signal} = range;
    signal?.throwIfAborted();
    await abortable(this.start(), signal);
    if (this.held !== null) {
      yield* inPieces(range, (from, to) => this.read(from, to, signal));
      return;
    }
    const end = Math.min(range.end, this.size ?? range.end);
    const ahead = this.readAhead(begin, end);
    if (ahead !== null) {
      yield* ahead.pieces({...range, end});
      return;
    }
    const either = eitherOf(this.stopped.signal, signal);
    try {
      if (begin < end) yield* piecesOf(this.name, {...range, end}, this.remote.bytes(begin, end, either.signal));
    } finally {
      either.release();
    }
  }

  release(begin: number, end: number): void {
    this.held?.release(begin, end);
  }

  async close(): Promise<void> {
    this.stopped.abort(new DOMException(`'${this.name}' was closed`, 'AbortError'));
    this.held = null;
    this.blocks.clear();
    this.ahead?.close();
    this.ahead = null;
    this.flows?.close();
    this.onClose();
  }

  /** Notes a read; the reader to use for it where it is one of many that go through the file. */
  private readAhead(begin: number, end: number): ReadAhead | null {
    const near = this.recentEnds.some((other) => Math.abs(begin - other) <= NEAR_BYTES);
    this.nearReads = near ? this.nearReads + 1 : 0;
    this.nearBytes = (near ? this.nearBytes : 0) + end - begin;
    this.recentEnds.push(end);
    if (this.recentEnds.length > RECENT_READS) this.recentEnds.shift();
    if (this.ahead !== null) return this.ahead;
    const tells = this.nearReads >= READS_THAT_TELL && this.nearBytes >= BYTES_OF_READS_THAT_TELL;
    if (this.size === null || !((near && (tells || this.nearBytes >= BYTES_THAT_TELL)) || end - begin >= BYTES_OF_LARGE)) return null;
    this.flows = new Flows(this.remote, this.size, this.stopped.signal);
    this.ahead = new ReadAhead(this.name, this.size, this.flows);
    return this.ahead;
  }

  /** The first request, which shows whether the server knows ranges. Its failure is not kept: a later read tries again. */
  private start(): Promise<void> {
    this.starting ??= this.probe().catch((error) => {
      this.starting = null;
      throw error;
    });
    return this.starting;
  }

  private async probe(): Promise<void> {
    const body = this.remote.bytes(0, BLOCK_BYTES, this.stopped.signal, true);
    const first = await body.next();
    const chunk = first.done ? null : first.value;
    if (this.remote.ranged === false) {
      this.held = new HeldBody(this.remote, body, chunk);
      return;
    }
    const parts = chunk === null ? [] : [chunk.slice()];
    for await (const part of body) parts.push(part.slice());
    this.keep(0, Promise.resolve(join(this.name, parts, 0, BLOCK_BYTES)));
  }

  private async readRange(begin: number, end: number, signal: AbortSignal, onBytes?: (received: number) => void): Promise<Uint8Array> {
    const bytes = allocate(this.name, end - begin);
    const filled = await this.remote.fill(bytes, begin, signal, onBytes);
    return filled === bytes.length ? bytes : bytes.slice(0, filled);
  }

  /** Not stopped by any one reader's signal: others may be waiting for the same block. Those up to `last` will be asked for too. */
  private block(index: number, last: number): Promise<Uint8Array> {
    const known = this.blocks.get(index);
    if (known !== undefined) {
      this.keep(index, known);
      return known;
    }
    // Scales of all layers, one after the other: more at a time then.
    const count = Math.max(last - index + 1, Math.min(2 * (this.runs.get(index) ?? 0), LONGEST_RUN));
    this.runs.delete(index);
    this.runs.set(index + count, count);
    const begin = index * BLOCK_BYTES;
    const stop = Math.min(begin + count * BLOCK_BYTES, this.size ?? Number.POSITIVE_INFINITY);
    const read = this.readRange(begin, stop, this.stopped.signal);
    for (let i = count - 1; i >= 0; i--) {
      const block = read.then((bytes) => bytes.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES));
      this.keep(index + i, block);
      block.catch(() => {
        if (this.blocks.get(index + i) === block) this.blocks.delete(index + i);
      });
    }
    return this.blocks.get(index) as Promise<Uint8Array>;
  }

  private keep(index: number, block: Promise<Uint8Array>): void {
    this.blocks.delete(index);
    this.blocks.set(index, block);
    for (const oldest of this.blocks.keys()) {
      if (this.blocks.size <= HELD_BLOCKS) break;
      this.blocks.delete(oldest);
    }
  }
}
