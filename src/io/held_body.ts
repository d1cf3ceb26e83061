/**
 * The body of a server that ignores byte ranges. It is read once, as far as anyone has asked, and held in memory until what
 * was asked for has been released; a read of released bytes costs another request of the whole body.
 */
import {abortable} from './abort.js';
import {allocate} from './bytes.js';
import type {RemoteFile} from './url_request.js';

const BLOCK_BYTES = 2 ** 20;

interface Block {
  readonly bytes: Uint8Array;
  released: number;
}

export class HeldBody {
  private readonly blocks = new Map<number, Block>();
  private received = 0;
  private ended = false;
  private pulling: Promise<void> | null = null;

  constructor(
    private readonly remote: RemoteFile,
    private readonly body: AsyncGenerator<Uint8Array, void, undefined>,
    first: Uint8Array | null,
  ) {
    if (first === null) this.ended = true;
    else this.append(first);
  }

  async read(
    begin: number,
    end: number,
    signal: AbortSignal | undefined,
    onBytes: ((received: number) => void) | undefined,
  ): Promise<Uint8Array> {
    while (this.received < end && !this.ended) {
      await abortable(this.pull(), signal);
      if (this.received > begin) onBytes?.(Math.min(this.received, end) - begin);
    }
    const stop = Math.min(end, this.received);
    const length = Math.max(0, stop - begin);
    const bytes = allocate(this.remote.name, length);
    if (!this.copy(begin, bytes)) return this.readAgain(begin, bytes, signal, onBytes);
    if (length > 0) onBytes?.(length);
    return bytes;
  }

  /** A block goes once all of it has been released. A range released twice may drop a block early, which costs a request and no more. */
  release(begin: number, end: number): void {
    for (let index = Math.floor(begin / BLOCK_BYTES); index * BLOCK_BYTES < end; index++) {
      const block = this.blocks.get(index);
      if (block === undefined) continue;
      const start = index * BLOCK_BYTES;
      block.released += Math.min(end, start + BLOCK_BYTES) - Math.max(begin, start);
      if (block.released >= BLOCK_BYTES) this.blocks.delete(index);
    }
  }

  private pull(): Promise<void> {
    this.pulling ??= this.body
      .next()
      .then(({value, done}) => {
        if (done) this.ended = true;
        else this.append(value);
      })
      .finally(() => {
        this.pulling = null;
      });
    return this.pulling;
  }

  private append(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.length > 0) {
      const index = Math.floor(this.received / BLOCK_BYTES);
      const at = this.received % BLOCK_BYTES;
      let block = this.blocks.get(index);
      if (block === undefined) {
        block = {bytes: allocate(this.remote.name, BLOCK_BYTES), released: 0};
        this.blocks.set(index, block);
      }
      const part = rest.subarray(0, BLOCK_BYTES - at);
      block.bytes.set(part, at);
      this.received += part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** Fills `target` from file position `begin` on. False where some of it is no longer held. */
  private copy(begin: number, target: Uint8Array): boolean {
    let position = begin;
    const end = begin + target.length;
    while (position < end) {
      const block = this.blocks.get(Math.floor(position / BLOCK_BYTES));
      if (block === undefined) return false;
      const at = position % BLOCK_BYTES;
      const part = block.bytes.subarray(at, Math.min(BLOCK_BYTES, at + end - position));
      target.set(part, position - begin);
      position += part.length;
    }
    return true;
  }

  private async readAgain(
    begin: number,
    target: Uint8Array,
    signal: AbortSignal | undefined,
    onBytes: ((received: number) => void) | undefined,
  ): Promise<Uint8Array> {
    const filled = await this.remote.fill(target, begin, signal, onBytes);
    return filled === target.length ? target : target.slice(0, filled);
  }
}
