/** A wasm heap whose calls are shared, by rows, between this thread and the workers of a team. */
import {Area, type WasmBackend, type WasmExports, WasmHeap} from '../../kernels/wasm/module.js';
import {type Call, CUTS, type Cut, type ExportName} from '../../kernels/wasm/parallel.js';
import {codeOf} from './pool.js';
import type {Team, TeamCall} from './team.js';
import type {Trial} from './trial.js';

/**
 * Least cost of a call that is shared, in 4-bit multiplications, some 16 of them a nanosecond: to hand it over takes about a microsecond, and
 * waking a worker that sleeps some fifty.
 */
export interface LeastCosts {
  readonly awake: number;
  readonly asleep: number;
}

export const LEAST_COSTS: LeastCosts = {awake: 2 ** 16, asleep: 2 ** 20};

/** Of a word that threads of a chain share, in a line of a cache of its own: two for all, and one a thread. */
const WORD_BYTES = 64;

/** Place of K in a descriptor. */
const IN_DIM = 1;

/**
 * Calls whose times may be compared: of one kernel on the same data, a weight that is, and about the same size. Two weights of one size may be of
 * layouts that take times of their own.
 */
export function kindOf(name: ExportName, address: number, cost: number): number {
  return (address * 64 + codeOf(name)) * 64 + Math.round(Math.log2(cost));
}

export class ThreadedHeap extends WasmHeap {
  /** Memory of the threads, one after the other. */
  private readonly threadsArea: Area;

  /**
   * All calls that are large enough are shared, or with `trial` while that is faster. The memory of the backend must be shared. `onLost` is called
   * when a worker failed: this thread works alone from then on.
   */
  constructor(
    backend: WasmBackend,
    private team: Team | null,
    private readonly least: LeastCosts,
    private readonly trial: Trial | null,
    private readonly onLost: () => void,
  ) {
    super(backend);
    this.threadsArea = new Area(backend, 64);
    const direct = this.exports;
    const shared = Object.entries(CUTS).map(([name, cut]) => {
      const exported = direct[name as ExportName] as (...args: number[]) => void;
      return [name, (...args: number[]) => this.share(name as ExportName, exported, args, cut)];
    });
    this.exports = {...direct, ...(Object.fromEntries(shared) as Partial<WasmExports>)};
  }

  override dispose(): void {
    this.team = null;
    this.threadsArea.free();
    super.dispose();
  }

  override get threads(): number {
    return this.team === null ? 1 : this.team.threads.length + 1;
  }

  override runChain(steps: number, count: number, ownBytes: number, cost: number): void {
    const {team} = this;
    const alone = () => super.runChain(steps, count, ownBytes, cost);
    if (team === null || !this.isLarge(team, cost)) alone();
    else this.tried('runChain', count, cost, alone, () => this.walk(team, steps, count, ownBytes));
  }

  private share(name: ExportName, exported: (...args: number[]) => void, args: number[], cutOf: (call: Call) => Cut): void {
    const {team} = this;
    const cut = team === null ? null : cutOf({args, inDimAt: this.inDimAt});
    if (team === null || cut === null) {
      exported(...args);
      return;
    }
    const [begin, end] =
      'count' in cut.rows ? [0, args[cut.rows.count] as number] : ([args[cut.rows.begin], args[cut.rows.end]] as [number, number]);
    const cost = (end - begin) * cut.cost;
    const alone = () => exported(...args);
    if (end - begin < 2 || !this.isLarge(team, cost)) alone();
    else this.tried(name, args[0] as number, cost, alone, () => this.runShared(team, {name, exported, args, cut, begin, end}));
  }

  private isLarge(team: Team, cost: number): boolean {
    return cost >= this.least.awake && (cost >= this.least.asleep || !team.sleeps);
  }

  /** One way or the other. @param about as kindOf takes an address */
  private tried(name: ExportName, about: number, cost: number, alone: () => void, shared: () => void): void {
    const {trial} = this;
    const start = trial === null ? 0 : performance.now();
    if (trial !== null && !trial.shares(start)) alone();
    else shared();
    trial?.record(kindOf(name, about, cost), cost, start, performance.now());
  }

  private runShared(team: Team, call: Omit<TeamCall, 'scratch' | 'scratchStep'>): void {
    const {cut} = call;
    const scratchStep = (cut.scratchBytes + 63) & ~63;
    const scratch = cut.scratchAt < 0 ? 0 : this.threadsArea.of((team.threads.length + 1) * scratchStep);
    this.orAlone(() => team.run({...call, scratch, scratchStep}));
  }

  private walk(team: Team, steps: number, count: number, ownBytes: number): void {
    const scratchStep = (ownBytes + 63) & ~63;
    const threads = team.threads.length + 1;
    const controlBytes = (2 + threads) * WORD_BYTES;
    const control = this.threadsArea.of(controlBytes + threads * scratchStep);
    const scratch = control + controlBytes;
    this.words.fill(0, control >>> 2, scratch >>> 2);
    const close = () => Atomics.store(this.words, control >>> 2, -1);
    const exported = this.exports.runChain;
    this.orAlone(() => team.runChain({exported, steps, count, control, scratch, scratchStep, close}));
  }

  /** Where a worker is lost, this thread works alone from then on. */
  private orAlone(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.team = null;
      this.onLost();
      throw error;
    }
  }

  private readonly inDimAt = (descriptor: number): number => this.words[(descriptor >>> 2) + IN_DIM] as number;
}
