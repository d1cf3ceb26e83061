/** A file behind a URL that is read through: reads that follow each other share one body, for a request costs a round trip. */
import type {RemoteFile} from './url_request.js';

/** Bodies under way at a time, over all files: a browser has six connections to a server, and other requests need some. */
const MOST = 3;
/** So much is read over sooner than another request is answered. */
const GAP_BYTES = 2 * 2 ** 20;
/** A body that nobody reads holds its connection for so long. */
const IDLE_MS = 5000;

/** All that are under way, the one unused for longest first. */
const underWay = new Set<Flow>();

class Flow {
  private rest: Uint8Array = new Uint8Array(0);
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private idle: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly chunks: AsyncGenerator<Uint8Array, void, undefined>,
    /** Where it is in the file once the fills asked for are done. */
    private next: number,
    private readonly end: number,
    private readonly onClose: (flow: Flow) => void,
  ) {
    underWay.add(this);
  }

  get isIdle(): boolean {
    return this.waiting === 0;
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
    this.chunks.return().catch(() => {});
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
        const {value, done} = await this.chunks.next();
        if (done) break;
        this.rest = value;
      }
      const part = this.rest.subarray(0, at < 0 ? -at : target.length - at);
      if (at >= 0) target.set(part, at);
      at += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    return Math.max(0, at);
  }
}

export class Flows {
  private readonly flows = new Set<Flow>();

  constructor(
    private readonly remote: RemoteFile,
    private readonly size: number,
    private readonly signal: AbortSignal,
  ) {}

  /** As RemoteFile.fill. */
  fill(target: Uint8Array, begin: number): Promise<number> {
    for (const flow of this.flows) {
      const gap = flow.gapTo(begin);
      if (gap >= 0 && gap <= GAP_BYTES) return flow.fill(target, begin);
    }
    if (!hasRoom()) return this.remote.fill(target, begin, this.signal);
    const flow = new Flow(this.remote.bytes(begin, this.size, this.signal), begin, this.size, (closed) => this.flows.delete(closed));
    this.flows.add(flow);
    return flow.fill(target, begin);
  }

  close(): void {
    for (const flow of this.flows) flow.close();
  }
}

/** Whether one more may begin, perhaps in place of one that nobody waits for. */
function hasRoom(): boolean {
  if (underWay.size < MOST) return true;
  for (const flow of underWay) {
    if (!flow.isIdle) continue;
    flow.close();
    return true;
  }
  return false;
}
