/** The calling thread and some workers, who share the rows of one call at a time on one memory. */
import type {Cut, ExportName} from '../../kernels/wasm/parallel.js';
import {DeviceError} from '../errors.js';
import {codeOf} from './pool.js';
import {CALL, MOST_MOVES, MOST_PARTS, PART_BITS, TEAM, type TeamData} from './team_source.js';
import {MAY_SLEEP, type WorkerThread} from './worker_thread.js';

/** Parts a thread, at most: enough that the last to finish is not far behind. */
const PARTS = 4;

/** A part costs no less, where there are others: some thirty microseconds. Each begins with weights that are not in the cache. */
const PART_COST = 2 ** 19;

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
    const failed = Atomics.load(this.words, TEAM.failed);
    if (failed !== 0) throw gone(failed, 'one whose call failed');
  }

  /** Lets the workers go: they end by themselves. */
  end(): void {
    Atomics.store(this.words, TEAM.ended, 1);
    Atomics.add(this.words, TEAM.call, 1);
    Atomics.notify(this.words, TEAM.call);
  }

  private post({name, args, cut, begin, end, scratchStep, scratch}: TeamCall): number {
    const {words, numbers} = this;
    const threads = this.threads.length + 1;
    const count = threads * Math.min(PARTS, Math.max(1, Math.round(((end - begin) * cut.cost) / (threads * PART_COST))));
    const {together} = cut;
    const rows = Math.max(1, Math.ceil((end - begin) / (count * together))) * together;
    const parts = Math.ceil((end - begin) / rows);
    this.calls = (this.calls + 1) | 0;
    // Closed before its numbers change.
    Atomics.store(words, TEAM.claim, (this.calls << PART_BITS) | (MOST_PARTS + 1));
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
    Atomics.store(words, TEAM.call, this.calls);
    if (Atomics.load(words, TEAM.asleep) > 0) Atomics.notify(words, TEAM.call);
    return parts;
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
    let before = -1;
    let since = 0;
    for (let spin = 1; ; spin++) {
      const done = Atomics.load(words, TEAM.done);
      if (done >= parts) return;
      if (spin % TAIL_SPINS !== 0) continue;
      if (done !== before) {
        before = done;
        since = performance.now();
      } else if (performance.now() - since > this.patienceMs) throw gone(null, 'no answer');
      if (!MAY_SLEEP) continue;
      Atomics.store(words, TEAM.waiting, 1);
      Atomics.wait(words, TEAM.done, done, 50);
      Atomics.store(words, TEAM.waiting, 0);
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
