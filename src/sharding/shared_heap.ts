/** A WebAssembly memory that threads share, and who has which bytes of it. */
import {DeviceError} from '../errors.js';

const PAGE = 65536;
/** A memory of 32-bit addresses. */
const MAX_PAGES = 65536;
/** Loads may reach this far past the end of what they read. */
const SPARE = 128;
/** Nothing lies at address 0: it stands for none. */
const START = 1024;

interface Block {
  readonly address: number;
  readonly bytes: number;
}

export class SharedHeap {
  readonly memory: WebAssembly.Memory;
  private top = START;
  /** By address, neighbours joined. */
  private free: Block[] = [];
  private readonly used = new Map<number, number>();

  constructor() {
    this.memory = new WebAssembly.Memory({initial: 16, maximum: MAX_PAGES, shared: true});
  }

  /** Bytes taken. */
  get usedBytes(): number {
    let sum = 0;
    for (const bytes of this.used.values()) sum += bytes;
    return sum;
  }

  /** Address of `bytes` bytes, a multiple of 16. Throws DeviceError where there are no more. */
  allocate(bytes: number): number {
    const wanted = Math.max(16, Math.ceil(bytes / 16) * 16);
    const at = this.free.findIndex((block) => block.bytes >= wanted);
    const address = at < 0 ? this.extend(wanted) : this.takeFrom(at, wanted);
    this.used.set(address, wanted);
    return address;
  }

  release(address: number): void {
    const bytes = this.used.get(address);
    if (bytes === undefined) return;
    this.used.delete(address);
    let at = this.free.findIndex((block) => block.address > address);
    if (at < 0) at = this.free.length;
    const [before, after] = [this.free[at - 1], this.free[at]];
    const joinsBefore = before !== undefined && before.address + before.bytes === address;
    const joinsAfter = after !== undefined && address + bytes === after.address;
    const begin = joinsBefore ? before.address : address;
    const end = joinsAfter ? after.address + after.bytes : address + bytes;
    this.free.splice(joinsBefore ? at - 1 : at, Number(joinsBefore) + Number(joinsAfter), {address: begin, bytes: end - begin});
    const last = this.free[this.free.length - 1];
    if (last !== undefined && last.address + last.bytes === this.top) {
      this.top = last.address;
      this.free.pop();
    }
  }

  private takeFrom(at: number, wanted: number): number {
    const {address, bytes} = this.free[at] as Block;
    if (bytes === wanted) this.free.splice(at, 1);
    else this.free[at] = {address: address + wanted, bytes: bytes - wanted};
    return address;
  }

  private extend(wanted: number): number {
    const address = this.top;
    const pages = Math.ceil((address + wanted + SPARE) / PAGE) - this.memory.buffer.byteLength / PAGE;
    if (pages > 0) this.grow(pages, wanted);
    this.top = address + wanted;
    return address;
  }

  private grow(pages: number, wanted: number): void {
    try {
      this.memory.grow(pages);
    } catch (cause) {
      throw new DeviceError(
        {
          where: "a worker's memory",
          expected: `room for ${wanted} more bytes`,
          received: `${this.memory.buffer.byteLength} bytes, of at most ${MAX_PAGES * PAGE}`,
          remedy: 'Spread the layer over more devices.',
        },
        {cause},
      );
    }
  }
}
