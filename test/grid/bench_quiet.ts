/**
 * Which samples of the bench count. Neighbours on a shared machine slow all arithmetic for seconds at a time, so every sample is taken between two runs of
 * a short loop of multiplications: it counts where both took about as long as the shortest of the whole run.
 */

export interface Sample {
  readonly ms: number;
  /** The slower of the two probes around it. */
  readonly probeMs: number;
}

export interface Timing {
  readonly name: string;
  /** Of the samples that count. */
  readonly medianMs: number;
  readonly minMs: number;
  /** How many count: 0 where none did, and the least disturbed stand for them. */
  readonly samples: number;
  /** How many were taken. */
  readonly taken: number;
}

/** A probe is at the machine's full rate up to this part over the shortest. */
const SLACK = 1.1;

/** Where no sample was at the full rate: those that stand for the others, the part with the shortest probes, and how many at least. */
const LEAST_DISTURBED = {part: 0.1, count: 3};

function leastDisturbed(samples: readonly Sample[]): Sample[] {
  const count = Math.max(LEAST_DISTURBED.count, Math.ceil(LEAST_DISTURBED.part * samples.length));
  return [...samples].sort((a, b) => a.probeMs - b.probeMs).slice(0, count);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The samples taken while the machine ran at its full rate. bestMs: the shortest probe of the run. */
export const atFullRate = (samples: readonly Sample[], bestMs: number): Sample[] =>
  samples.filter(({probeMs}) => probeMs <= SLACK * bestMs);

/** Throws a RangeError without a sample. */
export function timingOf(name: string, samples: readonly Sample[], bestMs: number): Timing {
  if (samples.length === 0) throw new RangeError(`${name}: nothing was timed`);
  const counted = atFullRate(samples, bestMs);
  const shown = counted.length > 0 ? counted : leastDisturbed(samples);
  const times = shown.map(({ms}) => ms);
  return {name, medianMs: median(times), minMs: Math.min(...times), samples: counted.length, taken: samples.length};
}

/** How much slower than at its best the machine was in the slowest tenth of the probes: 1 on a quiet one. */
export function noiseOf(probes: readonly number[]): number {
  const sorted = [...probes].sort((a, b) => a - b);
  const [best] = sorted;
  return best === undefined ? 1 : (sorted[Math.ceil(0.9 * sorted.length) - 1] as number) / best;
}

/** A loop of multiplications, and how long it took each time. */
export class Pace {
  readonly probes: number[] = [];
  bestMs = Number.POSITIVE_INFINITY;

  /** loop: a fixed amount of work, about a third of a millisecond. */
  constructor(
    private readonly loop: () => unknown,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** → ms of the loop: the shortest of three, as one may be interrupted. */
  probe(): number {
    let shortest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++) {
      const start = this.now();
      this.loop();
      shortest = Math.min(shortest, this.now() - start);
    }
    this.probes.push(shortest);
    this.bestMs = Math.min(this.bestMs, shortest);
    return shortest;
  }

  /** What `run` gives as its milliseconds, between two probes. */
  async sample(run: () => Promise<number>): Promise<Sample> {
    const before = this.probe();
    const ms = await run();
    return {ms, probeMs: Math.max(before, this.probe())};
  }
}

/** `enough` rounds at the full rate for each runner; past so many rounds a slow machine is waited for until limitMs. */
export interface Patience {
  readonly enough: number;
  readonly limitMs: number;
}

/** Of a group of the bench. */
export const patience = (enough: number, limitMs = 15_000): Patience => ({enough, limitMs});

/** Whether another round is worth it. counted: rounds at the full rate, of the runner with the fewest. */
export const goesOn = ({enough, limitMs}: Patience, rounds: number, counted: number, elapsedMs: number): boolean =>
  rounds < enough || (counted < enough && elapsedMs < limitMs);
