/**
 * Whether sharing calls pays, by trying: where other programs have the cores, or a virtual machine has fewer of them than it shows, threads that
 * wait for each other are slower than one. Now and then some calls are made the other way and times compared, call by call of the same kind.
 */

/** Time of calls, in milliseconds, that a trial takes: some tokens of a small model. */
const TRIAL_MS = 12;

/** Between trials. What was preferred twice is tried less often. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 3000;

/** A trial begins once so many times what the last one took has passed in calls: those that come seldom are large, and one of them is a trial. */
const CALLS_BETWEEN = 16;

/** Sharing has to save this part, or it is left. */
const WORTH = 0.95;

/** Weight of a new time beside the old ones of its kind. */
const NEWEST = 0.2;

/** Kinds of calls that are remembered: weights come and go. */
const MOST_KINDS = 4096;

interface Times {
  shared: number;
  alone: number;
}

export class Trial {
  /** How calls are made outside trials. */
  private prefersShared = true;
  private isTrying = false;
  private pause = FIRST_PAUSE_MS;
  /** When the next trial begins, or when calls of this one count. */
  private next = 0;
  private tried = 0;
  /** Time that calls have to take before the next trial. */
  private owed = 0;
  /** When the last shared call ended. */
  private sharedUntil = 0;
  /** Time a unit of cost, by kind of call. */
  private readonly times = new Map<number, Times>();
  /** Time of the trial's calls in both ways, as far as known. */
  private sums: Times = {shared: 0, alone: 0};

  /** @param settleMs how long workers spin after a shared call: what is measured before has them in the way */
  constructor(private readonly settleMs: number) {}

  /** Whether a call at this time is to be shared. */
  shares(now: number): boolean {
    if (!this.isTrying && now >= this.next && this.owed <= 0) {
      // The first call begins a pause, not a trial.
      if (this.next === 0) this.next = now + FIRST_PAUSE_MS;
      else this.begin(now);
    }
    return this.prefersShared !== this.isTrying;
  }

  /** A call of this kind and cost was made, in the way that `shares` said. */
  record(kind: number, cost: number, start: number, end: number): void {
    const way = this.prefersShared !== this.isTrying ? 'shared' : 'alone';
    if (way === 'shared') this.sharedUntil = end;
    this.owed -= end - start;
    if (this.isTrying && start < this.next) return;
    let times = this.times.get(kind);
    if (times === undefined) {
      if (this.times.size >= MOST_KINDS) this.times.clear();
      times = {shared: 0, alone: 0};
      this.times.set(kind, times);
      // The first call of a kind may have compiled its kernel, or run what was compiled in a hurry.
      return;
    }
    const time = (end - start) / cost;
    times[way] = times[way] === 0 ? time : times[way] + NEWEST * (time - times[way]);
    if (!this.isTrying) return;
    if (times.shared !== 0 && times.alone !== 0) {
      this.sums.shared += way === 'shared' ? end - start : times.shared * cost;
      this.sums.alone += way === 'alone' ? end - start : times.alone * cost;
    }
    this.tried += end - start;
    if (this.tried >= TRIAL_MS) this.decide(end);
  }

  private begin(now: number): void {
    this.isTrying = true;
    // Workers that spin are in the way of calls made alone; those that sleep have to wake for others.
    this.next = (this.prefersShared ? Math.max(now - this.settleMs, this.sharedUntil) : now) + this.settleMs;
    this.tried = 0;
    this.sums = {shared: 0, alone: 0};
  }

  private decide(now: number): void {
    const {shared, alone} = this.sums;
    // Nothing to compare with: as before.
    const better = alone === 0 ? this.prefersShared : shared < WORTH * alone;
    this.pause = better === this.prefersShared ? Math.min(2 * this.pause, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
    this.prefersShared = better;
    this.isTrying = false;
    this.next = now + this.pause;
    this.owed = CALLS_BETWEEN * this.tried;
  }
}
