/** The bytes of one URL from a position on, over as many requests as it takes. */
import {MissingError, SourceError, TfjsLinearError} from '../errors.js';
import {sleep} from './abort.js';

/** Requests in a row that may bring nothing before a read is given up: with pauses of 0.2, 0.4, ... s about 6 s of a dead line. */
const TRIES = 6;
/** The same where the server has never answered: more likely a wrong address than a bad moment. */
const TRIES_AT_FIRST = 3;
const FIRST_PAUSE_MS = 200;
/** A request that brought this much made progress: the next failure counts as the first again. */
const PROGRESS_BYTES = 64 * 2 ** 10;

/** The platform reads so many bytes at a time into one buffer, over and over: fresh memory for every chunk costs more than the reading. */
const CHUNK_BYTES = 512 * 2 ** 10;

/** One answer: bytes that follow `position` in the file. */
interface Answer {
  readonly body: Body | null;
  /** Bytes of the body before the asked position: a server without ranges sends the file from its beginning. */
  skip: number;
}

/** A body's bytes, into memory of our own where the platform can. */
class Body {
  private readonly bytes: ReadableStreamBYOBReader | null;
  private readonly chunks: ReadableStreamDefaultReader<Uint8Array> | null;
  /** Given away while a read goes on, and back with its result. */
  private memory: ArrayBufferLike | null = null;

  constructor(stream: ReadableStream<Uint8Array>) {
    try {
      this.bytes = stream.getReader({mode: 'byob'});
      this.chunks = null;
    } catch {
      // Not a stream of bytes: older browsers.
      this.bytes = null;
      this.chunks = stream.getReader();
    }
  }

  /** The next bytes, lent until the call after, or null at the end. About `room` of them are wanted yet. */
  async read(room: number): Promise<Uint8Array | null> {
    if (this.bytes === null) return (await this.chunks?.read())?.value ?? null;
    this.memory ??= new ArrayBuffer(Math.min(CHUNK_BYTES, room));
    const {value, done} = await this.bytes.read(new Uint8Array(this.memory as ArrayBuffer));
    this.memory = value?.buffer ?? null;
    return done ? null : value;
  }

  cancel(): void {
    (this.bytes ?? this.chunks)?.cancel().catch(() => {});
  }
}

export class RemoteFile {
  /** Bytes in the file, or null while no answer has told. */
  size: number | null = null;
  /** Whether the server answered the first request by range; null before. */
  ranged: boolean | null = null;
  /** Status of the last answer. */
  status: number | null = null;
  private etag: string | null = null;

  constructor(
    readonly url: string,
    readonly name: string,
    private readonly firstPauseMs = FIRST_PAUSE_MS,
  ) {}

  /**
   * Bytes [begin, end) in order, or up to the end of the file, in chunks that are lent until the next is asked for. A body that breaks off is taken up after its last byte, by a new
   * request. With `onward`, a server that ignores ranges has its body read on past `end` rather than asked again.
   * Throws `MissingError` for 404 and 410, `SourceError` for other refusals and when the tries are used up, and the signal's reason.
   */
  async *bytes(begin: number, end: number, signal?: AbortSignal, onward = false): AsyncGenerator<Uint8Array, void, undefined> {
    let position = begin;
    let failures = 0;
    let stop = end;
    for (;;) {
      let answer: Answer | undefined;
      let brought = 0;
      let failure: unknown;
      try {
        answer = await this.request(position, stop, signal);
        if (onward && this.ranged === false) stop = Number.POSITIVE_INFINITY;
        for (;;) {
          const part = await answer.body?.read(stop - position + answer.skip);
          if (part === undefined || part === null) break;
          const chunk = wanted(part, answer, stop - position);
          if (chunk.length === 0) continue;
          position += chunk.length;
          brought += chunk.length;
          yield chunk;
          if (position >= stop) return;
        }
        if (this.endsAt(position, stop)) return;
        failure = new Error(`the body ended after byte ${position} of ${Math.min(stop, this.size ?? stop)}`);
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof TfjsLinearError) throw error;
        failure = error;
      } finally {
        // Also where the consumer stops early: the rest of the body is not wanted.
        answer?.body?.cancel();
      }
      failures = brought >= PROGRESS_BYTES ? 1 : failures + 1;
      if (failures >= (this.status === null ? TRIES_AT_FIRST : TRIES))
        throw this.refusal(`bytes ${position} to ${stop}`, `${failures} failed requests`, failure, this.otherOrigin());
      await sleep(this.firstPauseMs * 2 ** (failures - 1), signal);
    }
  }

  /** Fills `target` from file position `begin` on, as far as the file goes. Throws as `bytes`. → bytes */
  async fill(target: Uint8Array, begin: number, signal?: AbortSignal, onBytes?: (received: number) => void): Promise<number> {
    let filled = 0;
    for await (const chunk of this.bytes(begin, begin + target.length, signal)) {
      target.set(chunk, filled);
      filled += chunk.length;
      onBytes?.(filled);
    }
    return filled;
  }

  private async request(position: number, end: number, signal: AbortSignal | undefined): Promise<Answer> {
    const headers = {Range: `bytes=${position}-${end === Number.POSITIVE_INFINITY ? '' : end - 1}`};
    const response = await fetch(this.url, {headers, signal: signal ?? null});
    this.status = response.status;
    const body = response.body === null ? null : new Body(response.body);
    if (response.status === 416) {
      body?.cancel();
      this.size ??= contentRange(response)?.total ?? null;
      if (this.size === null || position >= this.size) return {body: null, skip: 0};
      throw this.refusal(`bytes from ${position}`, `HTTP 416 for a file of ${this.size} bytes`);
    }
    try {
      this.checkStatus(response);
      this.checkUnchanged(response);
      this.ranged ??= response.status === 206;
      if (response.status === 206) return {body, skip: this.skipOfPart(response, position)};
      this.size ??= bodyLength(response);
      return {body, skip: position};
    } catch (error) {
      body?.cancel();
      throw error;
    }
  }

  private checkStatus(response: Response): void {
    const {status, statusText} = response;
    const page = /^text\/html\b/i.test(response.headers.get('Content-Type') ?? '') && !/\.html?$/i.test(this.name);
    if (status === 404 || status === 410 || ((status === 200 || status === 206) && page)) {
      throw new MissingError({
        where: this.url,
        expected: `the file '${this.name}'`,
        // Servers of single-page applications answer every unknown path with their page.
        received: page && status < 400 ? 'a web page in its place' : `HTTP ${status}`,
      });
    }
    if (status === 200 || status === 206) return;
    // Worth another try, which a plain error asks for.
    if (status === 408 || status === 429 || status >= 500) throw new Error(`HTTP ${status} ${statusText}`);
    throw this.refusal(
      'a readable file',
      `HTTP ${status} ${statusText}`,
      undefined,
      status === 401 || status === 403
        ? 'The server wants credentials, or hides that the file does not exist: it should then answer 404.'
        : undefined,
    );
  }

  /** Two requests of one file must see the same file, or its tensors would be a mixture. */
  private checkUnchanged(response: Response): void {
    const etag = response.headers.get('ETag')?.replace(/^W\//, '') ?? null;
    if (etag !== null && this.etag !== null && etag !== this.etag) {
      throw this.refusal(
        `the file of ETag ${this.etag}, as at the first request`,
        `ETag ${etag}`,
        undefined,
        'The file was replaced meanwhile: open it again.',
      );
    }
    this.etag ??= etag;
  }

  private skipOfPart(response: Response, position: number): number {
    const encoding = response.headers.get('Content-Encoding') ?? 'identity';
    if (encoding !== 'identity') {
      throw this.refusal(
        `bytes from ${position} as they are`,
        `a part of the file's ${encoding} form`,
        undefined,
        'Turn off compression for this file.',
      );
    }
    const range = contentRange(response);
    if (range?.total !== undefined && range.total !== null) this.size ??= range.total;
    if (range !== null && range.first !== position) throw this.refusal(`bytes from ${position}`, `bytes from ${range.first}`);
    return 0;
  }

  /** Whether a body that ended at `position` without an error is complete. */
  private endsAt(position: number, stop: number): boolean {
    if (position >= stop) return true;
    if (this.size === null) {
      // No length was told, so the end of the body is the end of the file.
      this.size = position;
      return true;
    }
    return position >= this.size;
  }

  /** What a page that never got an answer from another origin should know: the browser does not tell it why. */
  private otherOrigin(): string | undefined {
    const {origin} = (globalThis as {location?: {origin?: string}}).location ?? {};
    if (origin === undefined || this.status !== null || new URL(this.url).origin === origin) return undefined;
    return `Check the address, and that its server allows pages of ${origin} (CORS: Access-Control-Allow-Origin).`;
  }

  private refusal(expected: string, received: string, cause?: unknown, remedy?: string): SourceError {
    const why = cause === undefined ? undefined : `The last one: ${cause instanceof Error ? describeError(cause) : String(cause)}.`;
    return new SourceError(
      {where: this.url, expected, received, ...(why === undefined ? {} : {why}), ...(remedy === undefined ? {} : {remedy})},
      cause === undefined ? undefined : {cause},
    );
  }
}

/** What of a body's next bytes belongs to the asked range. */
function wanted(chunk: Uint8Array, answer: Answer, room: number): Uint8Array {
  const skipped = Math.min(answer.skip, chunk.length);
  answer.skip -= skipped;
  return chunk.subarray(skipped, skipped + Math.min(room, chunk.length - skipped));
}

function contentRange(response: Response): {first: number | null; total: number | null} | null {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.headers.get('Content-Range') ?? '');
  if (match === null) return null;
  return {first: match[1] === undefined ? null : Number(match[1]), total: match[2] === '*' ? null : Number(match[2])};
}

/** The length of a whole body where the server tells that of the bytes we get: it is the compressed one with an encoding, which other origins may hide. */
function bodyLength(response: Response): number | null {
  const length = response.headers.get('Content-Length');
  const encoding = response.headers.get('Content-Encoding');
  if (length === null || !/^\d+$/.test(length)) return null;
  if (encoding === null ? response.type === 'cors' : encoding !== 'identity') return null;
  return Number(length);
}

function describeError(error: Error): string {
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}
