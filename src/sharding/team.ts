/** The calling thread and some workers, who share the rows of one call at a time on one memory. */
import {type Cut, type ExportName, rowsOfPart} from '../../kernels/wasm/parallel.js';
import {DeviceError} from '../errors.js';
import {codeOf} from './pool.js';
import {CALL, MOST_MOVES, MOST_PARTS, PART_BITS, TEAM, type TeamData} from './team_source.js';
import {MAY_SLEEP, type WorkerThread} from './worker_thread.js';

/** No part takes that long: whoever took it is gone. */
const PATIENCE_MS = 10_000;

/** Loads before this thread sleeps, some tens of microseconds: the others are about as far. */
const TAIL_SPINS = 4000;

type Exported = (...args: number[]) => void;

export interface TeamCall {
  readonly name: ExportName;
  readonly exported: Exported;
  readonly args: readonly number[];
  readonly cut: Cut;
  readonly begin: number;
  readonly end: number;
  /** Memory of the threads, one after the other; 0: none. */
  readonly scratch: number;
  readonly scratchStep: number;
}

/** A chain: steps at an address, the address of its words in shared memory, and memory of the threads, as in TeamCall. */
export interface TeamChain {
  readonly exported: (steps: number, count: number, control: number, own: number, thread: number, threads: number) => number;
  readonly steps: number;
  readonly count: number;
  readonly control: number;
  readonly scratch: number;
  readonly scratchStep: number;
  /** Lets all who are in it leave. */
  close(): void;
}

export class Team {
  private readonly control = new SharedArrayBuffer(TEAM.length * 4);
  private readonly call = new SharedArrayBuffer(CALL.length * 8);
  private readonly words = new Int32Array(this.control);
  private readonly numbers = new Float64Array(this.call);
  private calls = 0;

  /**
   * @param spinMs how long workers spin after a call before they sleep
   * @param patienceMs how long nothing may be done before a worker is taken for lost
   */
  constructor(
    readonly threads: readonly WorkerThread[],
    private readonly spinMs: number,
    private readonly patienceMs = PATIENCE_MS,
  ) {}

  /** What a worker is given. @param worker from 1; the calling thread is 0 */
  dataFor(worker: number): TeamData {
    return {control: this.control, call: this.call, worker, spinMs: this.spinMs};
  }

  /** Until all workers have joined. Throws DeviceError where one has ended. */
  async ready(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.becomes(this.words, TEAM.joined, this.threads.length)));
  }

  /** Some worker sleeps: to wake it takes longer than to do a small call. */
  get sleeps(): boolean {
    return Atomics.load(this.words, TEAM.asleep) > 0;
  }

  /** Does a call with the workers. Throws DeviceError where one failed or does not come back: the team is of no use then. */
  run(call: TeamCall): void {
    const parts = this.post(call);
    const claim = this.calls << PART_BITS;
    try {
      for (let part = this.take(claim, parts); part < parts; part = this.take(claim, parts)) {
        this.doPart(call, part);
        Atomics.add(this.words, TEAM.done, 1);
      }
    } catch (error) {
      // Nobody may write on while the caller cleans up: this part counts as done, and those not taken are.
      const taken = Atomics.exchange(this.words, TEAM.claim, claim | (MOST_PARTS + 1)) & (2 ** PART_BITS - 1);
      Atomics.add(this.words, TEAM.done, 1);
      this.waitFor(taken);
      throw error;
    }
    this.waitFor(parts);
    this.checkWell();
  }

  /** Walks a chain with the workers; nobody is in it afterwards. Throws as `run` does. */
  runChain({exported, steps, count, control, scratch, scratchStep, close}: TeamChain): void {
    const {words, numbers} = this;
    this.open();
    numbers[CALL.scratchStep] = scratchStep;
    const threads = this.threads.length + 1;
    numbers.set([steps, count, control, scratch, threads], CALL.args);
    Atomics.store(words, TEAM.chain, this.calls);
    this.announce();
    const patience = new Patience(this.patienceMs);
    try {
      const walk = () => exported(steps, count, control, scratch, 0, threads);
      for (let at = walk(); at !== 0; at = walk()) {
        this.checkWell();
        patience.spend(at);
        if (MAY_SLEEP) Atomics.wait(words, TEAM.waiting, 0, 1);
      }
    } catch (error) {
      close();
      throw error;
    } finally {
      // Who has not looked yet does not begin; who is in it has nothing left to do.
      Atomics.store(words, TEAM.chain, ~this.calls);
      for (let spin = 1; Atomics.load(words, TEAM.inside) > 0; spin++) if (spin % TAIL_SPINS === 0) patience.spend(-1);
    }
    this.checkWell();
  }

  /** Lets the workers go: they end by themselves. */
  end(): void {
    Atomics.store(this.words, TEAM.ended, 1);
    Atomics.add(this.words, TEAM.call, 1);
    Atomics.notify(this.words, TEAM.call);
  }

  private post({name, args, cut, begin, end, scratchStep, scratch}: TeamCall): number {
    const {words, numbers} = this;
    const rows = rowsOfPart(end - begin, cut.cost, this.threads.length + 1, cut.together);
    const parts = Math.ceil((end - begin) / rows);
    this.open();
    numbers[CALL.code] = codeOf(name);
    numbers[CALL.begin] = begin;
    numbers[CALL.end] = end;
    numbers[CALL.rows] = rows;
    numbers[CALL.parts] = parts;
    numbers[CALL.beginAt] = 'count' in cut.rows ? -1 : cut.rows.begin;
    numbers[CALL.endAt] = 'count' in cut.rows ? -1 : cut.rows.end;
    numbers[CALL.countAt] = 'count' in cut.rows ? cut.rows.count : -1;
    numbers[CALL.scratchAt] = cut.scratchAt;
    numbers[CALL.scratchStep] = scratchStep;
    for (let i = 0; i < MOST_MOVES; i++) {
      numbers[CALL.moves + 2 * i] = cut.moves[i]?.at ?? -1;
      numbers[CALL.moves + 2 * i + 1] = cut.moves[i]?.step ?? 0;
    }
    numbers[CALL.count] = args.length;
    numbers.set(args, CALL.args);
    if (cut.scratchAt >= 0) numbers[CALL.args + cut.scratchAt] = scratch;
    Atomics.store(words, TEAM.done, 0);
    Atomics.store(words, TEAM.claim, this.calls << PART_BITS);
    this.announce();
    return parts;
  }

  /** Another call, of which no part can be taken yet: its numbers may change. */
  private open(): void {
    this.calls = (this.calls + 1) | 0;
    Atomics.store(this.words, TEAM.claim, (this.calls << PART_BITS) | (MOST_PARTS + 1));
  }

  private announce(): void {
    Atomics.store(this.words, TEAM.call, this.calls);
    if (Atomics.load(this.words, TEAM.asleep) > 0) Atomics.notify(this.words, TEAM.call);
  }

  private checkWell(): void {
    const failed = Atomics.load(this.words, TEAM.failed);
    if (failed !== 0) throw gone(failed, 'one whose call failed');
  }

  /** The next part, or `parts` where there is none left. */
  private take(claim: number, parts: number): number {
    for (;;) {
      const seen = Atomics.load(this.words, TEAM.claim);
      const part = seen - claim;
      if (part >= parts) return parts;
      if (Atomics.compareExchange(this.words, TEAM.claim, seen, seen + 1) === seen) return part;
    }
  }

  private doPart({exported, args, cut, begin, end, scratch}: TeamCall, part: number): void {
    const rows = this.numbers[CALL.rows] as number;
    const first = begin + part * rows;
    const last = Math.min(end, first + rows);
    const own = args.slice();
    if ('count' in cut.rows) own[cut.rows.count] = last - first;
    else {
      own[cut.rows.begin] = first;
      own[cut.rows.end] = last;
    }
    if (cut.scratchAt >= 0) own[cut.scratchAt] = scratch;
    for (const {at, step} of cut.moves) own[at] = (own[at] as number) + (first - begin) * step;
    exported(...own);
  }

  /** The tail of what others took. */
  private waitFor(parts: number): void {
    const {words} = this;
    const patience = new Patience(this.patienceMs);
    for (let spin = 1; ; spin++) {
      const done = Atomics.load(words, TEAM.done);
      if (done >= parts) return;
      if (spin % TAIL_SPINS !== 0) continue;
      patience.spend(done);
      if (!MAY_SLEEP) continue;
      Atomics.store(words, TEAM.waiting, 1);
      Atomics.wait(words, TEAM.done, done, 50);
      Atomics.store(words, TEAM.waiting, 0);
    }
  }
}

/** How long nothing may change. */
class Patience {
  private before: number | null = null;
  private since = 0;

  constructor(private ms: number) {}

  /** Throws DeviceError where this has been seen for too long. */
  spend(seen: number): void {
    const now = performance.now();
    if (seen !== this.before) {
      this.before = seen;
      this.since = now;
    } else if (now - this.since > this.ms) {
      // Whoever was waited for so long is not waited for again.
      this.ms = 0;
      throw gone(null, 'no answer');
    }
  }
}

function gone(worker: number | null, received: string): DeviceError {
  return new DeviceError({
    where: worker === null ? 'a worker of startThreads' : `worker ${worker} of startThreads`,
    expected: 'a worker that answers',
    received,
    why: 'Products are made on this thread alone from now on.',
    remedy: 'Call startThreads() again for other workers.',
  });
}
