/** What this machine can do in the same WebAssembly that the kernels are made of: the ceilings that their times are compared with. */
import {atFullRate, goesOn, Pace, patience, type Sample, timingOf} from './bench_quiet.js';

interface Probe {
  readonly memory: WebAssembly.Memory;
  /** Reads `bytes` bytes from address `from` on. */
  sum(from: number, bytes: number): number;
  /** Multiplications and additions in registers, 8 vectors of 16-bit integers a step or 10 of bytes. */
  dots(steps: number, seed: number): number;
}

/** Modules of scripts/bench_probe.mjs, base64. */
export interface Probes {
  readonly plain: string;
  /** Needs relaxed SIMD. */
  readonly bytes: string;
}

export interface Machine {
  /** GB/s at which one thread reads 256 MB, and 8 MB again and again: a weight of the bench may stay in a cache. */
  readonly memoryGBps: number;
  readonly cachedGBps: number;
  /** Multiplications of 16-bit integers with their additions by one thread, in units of 10^9 a second. */
  readonly multiplyGops: number;
  /** The same of bytes, in the one instruction that relaxed SIMD has for them; null where the engine has none. */
  readonly byteMultiplyGops: number | null;
}

const PAGE = 65_536;
const FROM = PAGE;
const LARGE = 256 * 2 ** 20;
const SMALL = 8 * 2 ** 20;
const STEPS = 5_000_000;
const SEED = 3;

/** Runs before those that count, with a pause after each: engines compile what is busy once more, better, on another thread. */
const WARM_RUNS = 8;
const PAUSE_MS = 25;

/** Seconds of a run at the machine's full rate: the shortest of `times`, for which a slow machine is waited for a while. */
async function seconds(run: () => unknown, times: number, pace: Pace): Promise<number> {
  for (let i = 0; i < WARM_RUNS; i++) await warm(run);
  const samples: Sample[] = [];
  const counted = () => atFullRate(samples, pace.bestMs).length;
  const start = performance.now();
  while (goesOn(patience(times, 4000), samples.length, counted(), performance.now() - start)) {
    samples.push(
      await pace.sample(async () => {
        const before = performance.now();
        run();
        return performance.now() - before;
      }),
    );
  }
  return timingOf('probe', samples, pace.bestMs).minMs / 1000;
}

async function warm(run: () => unknown): Promise<void> {
  run();
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function byteMultiplies(module: string, pace: Pace): Promise<number | null> {
  const bytes = bytesOf(module);
  if (!WebAssembly.validate(bytes)) return null;
  const {instance} = await WebAssembly.instantiate(bytes, {});
  const {dots} = instance.exports as unknown as Pick<Probe, 'dots'>;
  return (STEPS * 10 * 16) / (await seconds(() => dots(STEPS, SEED), 3, pace)) / 1e9;
}

export async function measureMachine({plain, bytes}: Probes, pace: Pace): Promise<Machine> {
  const {instance} = await WebAssembly.instantiate(bytesOf(plain), {});
  const probe = instance.exports as unknown as Probe;
  probe.memory.grow(Math.ceil((FROM + LARGE) / PAGE));
  // Pages that were never written may all be one page of zeros.
  new Uint8Array(probe.memory.buffer).fill(1);
  return {
    memoryGBps: LARGE / (await seconds(() => probe.sum(FROM, LARGE), 3, pace)) / 1e9,
    cachedGBps: SMALL / (await seconds(() => probe.sum(FROM, SMALL), 15, pace)) / 1e9,
    multiplyGops: (STEPS * 8 * 8) / (await seconds(() => probe.dots(STEPS, SEED), 3, pace)) / 1e9,
    byteMultiplyGops: await byteMultiplies(bytes, pace),
  };
}

/** Of the probe that samples of the bench lie between: about a third of a millisecond. */
const PACE_STEPS = 100_000;

/** For how long the full rate is looked for, before anything is timed. */
const LOOK_MS = 3000;

/** The machine's pace by the loop of multiplications. plain: of Probes. */
export async function startPace(plain: string): Promise<Pace> {
  const {instance} = await WebAssembly.instantiate(bytesOf(plain), {});
  const {dots} = instance.exports as unknown as Probe;
  for (let i = 0; i < WARM_RUNS; i++) await warm(() => dots(STEPS, SEED));
  const pace = new Pace(() => dots(PACE_STEPS, SEED));
  const start = performance.now();
  while (performance.now() - start < LOOK_MS) await warm(() => pace.probe());
  return pace;
}
