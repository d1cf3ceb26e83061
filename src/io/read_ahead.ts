/**
 * A file read in blocks that are fetched before they are asked for, where reading goes forward: tensors of a module lie near each other, in no
 * order that one could guess. Memory for a few blocks is used over and over.
 */
import {abortable} from './abort.js';
import {allocate} from './bytes.js';
import type {Pieces} from './source.js';

/** Blocks held: in two parts of the file one in use and what is on its way, and those just left. */
const HELD = 8;
/** Those ahead of the one in use. */
const AHEAD = 2;
/** Two parts of the file, and one block in each that is just left. */
const RECENT = 4;
/** Those kept where reading may go on. */
const KEPT = 2 * (AHEAD + 1);
const LARGEST_BLOCK = 2 ** 20;
const SMALLEST_BLOCK = 128 * 2 ** 10;

interface Block {
  readonly bytes: Promise<Uint8Array>;
  readonly memory: Uint8Array;
  settled: boolean;
  /** Readers that wait for it or look at it. */
  users: number;
  /** false: it was fetched ahead, and nobody has come for it yet. */
  used: boolean;
}

/** Where blocks come from. */
export interface Blocks {
  /**
   * Reads file bytes from `position` on into all of `target`, and says how many there were. `until`: up to where reading goes on, 0 for a short
   * read; `onward`: up to where it likely does, 0 where that is not known.
   */
  fill(target: Uint8Array, position: number, until: number, onward: number): Promise<number>;
  /** Whether bytes from `position` on may be asked for before they are wanted. Default: they may. */
  mayAsk?(position: number): boolean;
}

export class ReadAhead {
  private readonly blockBytes: number;
  /** Least recently used first. */
  private readonly blocks = new Map<number, Block>();
  /** Blocks asked for lately, the last one at the end: reading goes forward where the one before is among them. */
  private recent: number[] = [];

  constructor(
    private readonly name: string,
    private readonly size: number,
    private readonly source: Blocks,
  ) {
    // A sixth of a small file at most: a tensor that is all of it is held once, as its record.
    const share = Math.ceil(size / (6 * HELD) / 4096) * 4096;
    this.blockBytes = Math.min(LARGEST_BLOCK, Math.max(SMALLEST_BLOCK, share));
  }

  /** Whether a read of so many bytes is better done here than on its own. */
  suits(bytes: number): boolean {
    return bytes <= this.blockBytes;
  }

  /** As ByteSource.read. */
  async read(begin: number, end: number, signal?: AbortSignal, onBytes?: (received: number) => void, onward = 0): Promise<Uint8Array> {
    signal?.throwIfAborted();
    const out = allocate(this.name, Math.max(0, Math.min(end, this.size) - begin));
    const filled = await this.copy(begin, out, signal, 0, onward);
    if (filled > 0) onBytes?.(filled);
    return filled === out.length ? out : out.slice(0, filled);
  }

  /** As ByteSource.pieces. */
  async *pieces({begin, end: asked, unit, onward = 0, signal, onBytes}: Pieces): AsyncGenerator<Uint8Array, void, undefined> {
    const end = Math.min(asked, this.size);
    let row: Uint8Array | null = null;
    for (let at = begin; at < end; ) {
      signal?.throwIfAborted();
      const index = Math.floor(at / this.blockBytes);
      const from = at - index * this.blockBytes;
      const whole = Math.floor((Math.min(end, (index + 1) * this.blockBytes) - at) / unit) * unit;
      if (whole === 0 || from % 8 !== 0) {
        // Across blocks, or where typed arrays could not lie over it.
        const length = Math.min(whole === 0 ? unit : whole, end - at);
        if (row === null || row.length < length) row = allocate(this.name, Math.max(unit, length));
        const piece = row.subarray(0, await this.copy(at, row.subarray(0, length), signal, end, onward));
        at += piece.length;
        if (piece.length > 0) onBytes?.(at - begin);
        yield piece;
        if (piece.length < length) return;
        continue;
      }
      const block = this.acquire(index, end, onward);
      try {
        const bytes = await abortable(block.bytes, signal);
        const piece = bytes.subarray(from, from + whole);
        at += piece.length;
        if (piece.length > 0) onBytes?.(at - begin);
        yield piece;
        if (piece.length < whole) return;
      } finally {
        block.users--;
      }
    }
  }

  /** Forgets all blocks. */
  close(): void {
    this.blocks.clear();
  }

  /** Fills `out` from file position `begin` on, as far as the file goes. → bytes */
  private async copy(begin: number, out: Uint8Array, signal: AbortSignal | undefined, until: number, onward: number): Promise<number> {
    let filled = 0;
    while (filled < out.length) {
      const at = begin + filled;
      const index = Math.floor(at / this.blockBytes);
      const block = this.acquire(index, until, onward);
      try {
        const bytes = await abortable(block.bytes, signal);
        const from = at - index * this.blockBytes;
        const part = bytes.subarray(from, from + out.length - filled);
        if (part.length === 0) break;
        out.set(part, filled);
        filled += part.length;
      } finally {
        block.users--;
      }
    }
    return filled;
  }

  private acquire(index: number, until: number, onward: number): Block {
    const block = this.blocks.get(index) ?? this.load(index, until, onward);
    block.users++;
    block.used = true;
    // What is on its way in this part stays as long as the part is read.
    for (let i = index + AHEAD; i >= index; i--) this.touch(i);
    const forward = this.recent.includes(index - 1);
    this.recent = [...this.recent.filter((other) => other !== index), index].slice(-RECENT);
    if (forward) for (let i = index + 1; i <= index + AHEAD && this.mayAsk(i); i++) this.fetchAhead(i, until, onward);
    return block;
  }

  private touch(index: number): void {
    const block = this.blocks.get(index);
    if (block === undefined) return;
    this.blocks.delete(index);
    this.blocks.set(index, block);
  }

  private mayAsk(index: number): boolean {
    const begin = index * this.blockBytes;
    return begin < this.size && (this.blocks.has(index) || (this.source.mayAsk?.(begin) ?? true));
  }

  private fetchAhead(index: number, until: number, onward: number): void {
    if (this.blocks.has(index) || (this.blocks.size >= HELD && this.oldestIdle() === null)) return;
    this.load(index, until, onward);
  }

  private load(index: number, until: number, onward: number): Block {
    // At most one block is held too many, unless more readers than blocks came at once: what they leave is not kept.
    let freed: Uint8Array | null = null;
    for (let oldest = this.oldestIdle(); this.blocks.size >= HELD && oldest !== null; oldest = this.oldestIdle()) {
      freed = (this.blocks.get(oldest) as Block).memory;
      this.blocks.delete(oldest);
    }
    const begin = index * this.blockBytes;
    const memory = freed ?? allocate(this.name, this.blockBytes);
    const target = memory.subarray(0, Math.min(this.blockBytes, this.size - begin));
    const whole = Math.ceil(onward / this.blockBytes) * this.blockBytes;
    const bytes = this.source.fill(target, begin, until, whole).then((filled) => target.subarray(0, filled));
    const block: Block = {bytes, memory, settled: false, users: 0, used: false};
    this.blocks.set(index, block);
    bytes.then(
      () => {
        block.settled = true;
      },
      // A later read tries again.
      () => {
        if (this.blocks.get(index) === block) this.blocks.delete(index);
      },
    );
    return block;
  }

  /** The one to give up. Where reading left a part of the file it may go on: what was fetched ahead there, and the block before it, go last. */
  private oldestIdle(): number | null {
    const idle = [...this.blocks].filter(([, {settled, users}]) => settled && users === 0).map(([index]) => index);
    const isAhead = (index: number) => this.blocks.get(index)?.used === false;
    const kept = idle.filter((index) => isAhead(index) || isAhead(index + 1));
    const [oldest] = kept.length > KEPT ? kept : idle.filter((index) => !kept.includes(index));
    return oldest ?? idle[0] ?? null;
  }
}
