/**
 * A file behind a URL that is read through: reads that follow each other share bodies, for a request costs a round trip. The first bodies are short, as
 * what a reader leaves is lost; where reading has gone on for a while, the rest of the file is one.
 */
import type {RemoteFile} from './url_request.js';

/** Bodies under way at a time, over all files: a browser has six connections to a server, and other requests need some. */
const MOST = 4;
/** So much is read over sooner than another request is answered. */
const GAP_BYTES = 3 * 2 ** 20;
/** A body that nobody reads holds its connection for so long. */
const IDLE_MS = 5000;
/** Of the first body. Each is twice as long as the one before it, until it would be longer than the longest: then it is the last. */
const SHORTEST_BODY = 4 * 2 ** 20;
const LONGEST_BODY = 16 * 2 ** 20;
/** Once so much has been read, a reader that jumps gets one body up to where it likely goes on. */
const BYTES_THAT_TELL = 16 * 2 ** 20;
/** About so much of a body comes whether or not it is read. Those opened for a short read may lose a quarter of what has been read. */
const WINDOW_BYTES = 6 * 2 ** 20;
const LOST_PART = 4;

/** All that are under way, the one unused for longest first. */
const underWay = new Set<Flow>();

/** Bytes of a file, the first of them on their way. */
interface Body {
  readonly chunks: AsyncGenerator<Uint8Array, void, undefined>;
  first: Promise<IteratorResult<Uint8Array, void>> | null;
}

class Flow {
  private readonly start: number;
  /** In order; the first is being read. */
  private readonly bodies: Body[] = [];
  /** Up to where in the file bodies have been asked for. */
  private asked: number;
  private length = SHORTEST_BODY;
  /** From where on the next body is asked for, whether or not anybody has asked for what is in it: a reader that came so far goes on. */
  private askAt = Number.POSITIVE_INFINITY;
  /** Up to where in the file bytes have come. */
  private come: number;
  private rest: Uint8Array = new Uint8Array(0);
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private idle: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly open: (begin: number, end: number) => Body['chunks'],
    /** Where it is in the file once the fills asked for are done. */
    private next: number,
    /** Up to where it is read in any case. */
    until: number,
    private readonly end: number,
    /** Whether it is not to go further unasked. */
    private exact: boolean,
    private readonly onClose: (flow: Flow) => void,
  ) {
    this.start = next;
    this.asked = next;
    this.come = next;
    underWay.add(this);
    this.ask(until - next);
  }

  get isIdle(): boolean {
    return this.waiting === 0;
  }

  get bodyCount(): number {
    return this.bodies.length;
  }

  /** Whether a body under way comes to `position`. */
  brings(position: number): boolean {
    return position < this.asked && this.bodies.length > 0;
  }

  /** Whether bytes from `position` on may be asked for before they are wanted. */
  mayAsk(position: number): boolean {
    return !this.exact || position < this.asked;
  }

  /** Bytes between where it is and `position`; negative behind it. */
  gapTo(position: number): number {
    return position - this.next;
  }

  /** Fills `target` from file position `begin` on, not behind where it is. Later fills wait for earlier ones, and fail with them. → bytes */
  fill(target: Uint8Array, begin: number): Promise<number> {
    const gap = this.gapTo(begin);
    this.next = begin + target.length;
    this.waiting++;
    clearTimeout(this.idle);
    underWay.delete(this);
    underWay.add(this);
    if (this.next > this.asked && this.asked < this.end && hasRoom()) this.ask();
    const filled = this.last.then(() => this.take(target, gap));
    this.last = filled;
    filled.then(
      () => this.done(),
      () => this.close(),
    );
    return filled;
  }

  close(): void {
    clearTimeout(this.idle);
    underWay.delete(this);
    this.onClose(this);
    for (const {chunks} of this.bodies.splice(0)) chunks.return().catch(() => {});
    this.asked = this.end;
  }

  private ask(least = 0): void {
    const begin = this.asked;
    const isFirst = begin === this.start;
    if (!isFirst) this.exact = false;
    const length = this.exact ? least : Math.max(least, this.length);
    if (!this.exact) this.length = 2 * length > LONGEST_BODY ? Number.POSITIVE_INFINITY : 2 * length;
    this.asked = Math.min(this.end, begin + length);
    const chunks = this.open(begin, this.asked);
    const first = chunks.next();
    // Its failure is heard when its turn comes, if it comes.
    first.catch(() => {});
    this.bodies.push({chunks, first});
    if (!isFirst) this.askAt = (begin + this.asked) / 2;
  }

  private done(): void {
    if (--this.waiting > 0) return;
    if (this.next >= this.end) {
      this.close();
      return;
    }
    this.idle = setTimeout(() => this.close(), IDLE_MS);
    // Node: not worth staying for.
    (this.idle as {unref?(): void}).unref?.();
  }

  /** The bytes after `skipped` ones. */
  private async take(target: Uint8Array, skipped: number): Promise<number> {
    let at = -skipped;
    while (at < target.length) {
      if (this.rest.length === 0) {
        const chunk = await this.chunk();
        if (chunk === null) break;
        this.rest = chunk;
      }
      const part = this.rest.subarray(0, at < 0 ? -at : target.length - at);
      if (at >= 0) target.set(part, at);
      at += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    return Math.max(0, at);
  }

  private async chunk(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.bodies.length === 0) {
        if (this.asked >= this.end) return null;
        this.ask();
      }
      const body = this.bodies[0] as Body;
      const {value, done} = await (body.first ?? body.chunks.next());
      body.first = null;
      if (!done) {
        this.come += value.length;
        if (this.come >= this.asked) for (const {chunks} of this.bodies.splice(0)) chunks.return().catch(() => {});
        if (this.come >= this.askAt && this.asked < this.end && hasRoom()) this.ask();
        return value;
      }
      this.bodies.shift();
    }
  }
}

export class Flows {
  private readonly flows = new Set<Flow>();
  /** Where the last read that was a request of its own ended. */
  private lastEnd = -1;
  /** Bytes read, and those of bodies opened for short reads that may have come in vain. */
  private read = 0;
  private lost = 0;

  constructor(
    private readonly remote: RemoteFile,
    private readonly size: number,
    private readonly signal: AbortSignal,
  ) {}

  /** As Blocks.fill, and as RemoteFile.fill. A short read is a request of its own where it follows no other. */
  fill(target: Uint8Array, begin: number, until: number, onward: number): Promise<number> {
    const nearest = this.nearest(begin);
    this.read += target.length;
    if (nearest !== undefined) return nearest.fill(target, begin);
    const isKnown = onward > begin && this.read >= BYTES_THAT_TELL;
    if (!hasRoom() || (until === 0 && begin !== this.lastEnd && !(isKnown && this.mayLose(onward - begin)))) {
      this.lastEnd = begin + target.length;
      return this.remote.fill(target, begin, this.signal);
    }
    const open = (from: number, to: number) => this.remote.bytes(from, to, this.signal);
    const stop = Math.max(isKnown ? onward : until, begin + target.length);
    const flow = new Flow(open, begin, stop, this.size, isKnown, (closed) => this.flows.delete(closed));
    this.flows.add(flow);
    return flow.fill(target, begin);
  }

  /** As of Blocks. */
  mayAsk(position: number): boolean {
    return this.nearest(position)?.mayAsk(position) ?? true;
  }

  private nearest(position: number): Flow | undefined {
    const inReach = [...this.flows].filter((flow) => {
      const gap = flow.gapTo(position);
      return gap === 0 || (gap > 0 && gap <= GAP_BYTES && flow.bodyCount > 0);
    });
    return inReach.sort((a, b) => Number(b.brings(position)) - Number(a.brings(position)) || a.gapTo(position) - b.gapTo(position))[0];
  }

  private mayLose(bytes: number): boolean {
    const lost = this.lost + Math.min(bytes, WINDOW_BYTES);
    if (lost * LOST_PART > this.read) return false;
    this.lost = lost;
    return true;
  }

  close(): void {
    for (const flow of this.flows) flow.close();
  }
}

/** Whether one more body may begin, perhaps in place of those of a flow that nobody waits for. */
function hasRoom(): boolean {
  const flows = [...underWay];
  let count = flows.reduce((sum, {bodyCount}) => sum + bodyCount, 0);
  for (const flow of flows) {
    if (count < MOST) break;
    if (!flow.isIdle) continue;
    count -= flow.bodyCount;
    flow.close();
  }
  return count < MOST;
}
