/** What this machine can do in the same WebAssembly that the kernels are made of: the ceilings that their times are compared with. */
import {median} from './bench_run.js';

interface Probe {
  readonly memory: WebAssembly.Memory;
  /** Reads `bytes` bytes from address `from` on. */
  sum(from: number, bytes: number): number;
  /** Multiplications and additions in registers, 8 vectors a step: 64 of 16-bit integers, 128 of bytes. */
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

/** Seconds of a run, the median of a few. */
async function seconds(run: () => unknown, times: number): Promise<number> {
  for (let i = 0; i < WARM_RUNS; i++) {
    run();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  const measured = Array.from({length: times}, () => {
    const start = performance.now();
    run();
    return (performance.now() - start) / 1000;
  });
  return median(measured);
}

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function byteMultiplies(module: string): Promise<number | null> {
  const bytes = bytesOf(module);
  if (!WebAssembly.validate(bytes)) return null;
  const {instance} = await WebAssembly.instantiate(bytes, {});
  const {dots} = instance.exports as unknown as Pick<Probe, 'dots'>;
  return (STEPS * 128) / (await seconds(() => dots(STEPS, SEED), 3)) / 1e9;
}

export async function measureMachine({plain, bytes}: Probes): Promise<Machine> {
  const {instance} = await WebAssembly.instantiate(bytesOf(plain), {});
  const probe = instance.exports as unknown as Probe;
  probe.memory.grow(Math.ceil((FROM + LARGE) / PAGE));
  // Pages that were never written may all be one page of zeros.
  new Uint8Array(probe.memory.buffer).fill(1);
  return {
    memoryGBps: LARGE / (await seconds(() => probe.sum(FROM, LARGE), 3)) / 1e9,
    cachedGBps: SMALL / (await seconds(() => probe.sum(FROM, SMALL), 15)) / 1e9,
    multiplyGops: (STEPS * 64) / (await seconds(() => probe.dots(STEPS, SEED), 3)) / 1e9,
    byteMultiplyGops: await byteMultiplies(bytes),
  };
}
