/** Which rows and columns of a weight each device holds. Pure: from a strategy and a shape to index ranges. */
import type {Range} from '../../kernels/slice.js';
import {checkOptions} from '../arguments.js';
import {ArgumentError, ShapeError, UnsupportedError} from '../errors.js';
import {checkShares, joinNeighbours, type Stretch, splitStretch} from './split.js';

export type StrategyKind =
  | 'rowwise'
  | 'columnwise'
  | 'replicate'
  | 'stackedQkv'
  | 'headAwareColumnwise'
  | 'gateUp'
  | 'axiswise'
  | 'segmented'
  | 'tensorParallel';

const KINDS: readonly StrategyKind[] = [
  'rowwise',
  'columnwise',
  'replicate',
  'stackedQkv',
  'headAwareColumnwise',
  'gateUp',
  'axiswise',
  'segmented',
  'tensorParallel',
];

const KEYS = ['kind', 'numDevices', 'axis', 'numHeads', 'headDim', 'segments', 'unit', 'shares'];

/** A stretch of an axis that `segmented` splits on its own. Source: MAX `Segment`. */
export interface Segment {
  readonly size: number;
  /** Entries that stay together: 1, or the width of a head. */
  readonly unit: number;
}

export const Segment = {
  /** `size` entries, split anywhere. */
  even: (size: number): Segment => ({size: count(size, 'Segment.even: size'), unit: 1}),
  /** `numHeads` heads of `headDim` entries, split between heads. */
  headAware: (numHeads: number, headDim: number): Segment => ({
    size: count(numHeads, 'Segment.headAware: numHeads') * count(headDim, 'Segment.headAware: headDim', 1),
    unit: headDim,
  }),
};

/** What one device holds of a weight [N, K] and bias [N]: these rows and columns, in this order. */
export interface Cut {
  readonly rows: readonly Range[];
  readonly columns: readonly Range[];
  /** rows: the bias of its rows. all: the whole bias. none: none, as shard 0 has it and the shards are summed. */
  readonly bias: 'rows' | 'all' | 'none';
}

/** A strategy as plain data. */
export interface StrategyConfig {
  /** What is cut; see ShardingStrategy's factories. */
  readonly kind: StrategyKind;
  /** Shards. */
  readonly numDevices: number;
  /** 0: rows (N); 1: columns (K); null: nothing is cut. */
  readonly axis?: 0 | 1;
  /** Of a head-aware kind. */
  readonly numHeads?: number;
  /** Entries of one head, of a head-aware kind. */
  readonly headDim?: number;
  /** Of kind 'segmented': parts of the axis, each cut on its own. */
  readonly segments?: readonly Segment[];
  /** Cuts lie at multiples of this. Default 1. */
  readonly unit?: number;
  /** Parts in proportion, one number a device. Default: evenly. */
  readonly shares?: readonly number[];
}

/** Options of the strategies that may cut anywhere. */
export interface SplitOptions {
  /** Cut only at multiples of this many rows or columns. Default 1. */
  unit?: number;
}

/**
 * How a weight [N, K] is spread over devices. Every axis is split as evenly as can be, the first devices getting one more; with more devices
 * than entries the last shards are empty. Rows (N) split: outputs are concatenated, each shard has its rows' bias. Columns (K) split: each device
 * reads its columns of x, outputs are summed, shard 0 has the bias.
 * Source: MAX `ShardingStrategy`. Differs: the bias is never added twice (25.4 adds it on every column shard), `gateUp` has axis 0 by default,
 * splits may follow given shares.
 *
 * ```js
 * const cuts = tfl.ShardingStrategy.rowwise(3).cuts([7, 10]);
 * cuts.map((cut) => cut.rows); // [[[0, 3]], [[3, 5]], [[5, 7]]]
 * ```
 */
export class ShardingStrategy {
  private constructor(private readonly config: StrategyConfig) {
    checkOptions('ShardingStrategy', config, KEYS);
    const {kind, numDevices, shares, segments} = config;
    const where = `ShardingStrategy.${kind}`;
    if (!KINDS.includes(kind)) {
      throw new ArgumentError({where: 'ShardingStrategy', expected: `a kind among ${KINDS.join(', ')}`, received: String(kind)});
    }
    count(numDevices, `${where}: numDevices`, 1);
    if (kind === 'stackedQkv' || kind === 'headAwareColumnwise') heads(config.numHeads, config.headDim, kind);
    if (kind === 'segmented' && !(Array.isArray(segments) && segments.every((s) => isSegment(s)))) {
      throw new ArgumentError({
        where: `${where}: segments`,
        expected: 'a list of Segment.even or Segment.headAware',
        received: String(segments),
      });
    }
    if (config.unit !== undefined) count(config.unit, `${where}: unit`, 1);
    if (shares !== undefined) checkShares(shares, numDevices, where);
    if (config.axis !== 0 && config.axis !== 1 && (config.axis !== undefined || kind === 'axiswise' || kind === 'segmented')) {
      throw new ArgumentError({where: `${where}: axis`, expected: '0 (rows) or 1 (columns)', received: String(config.axis)});
    }
  }

  /** Rows, output channels. */
  static rowwise(numDevices: number, options: SplitOptions = {}): ShardingStrategy {
    return new ShardingStrategy({kind: 'rowwise', numDevices, ...checked('rowwise', options)});
  }

  /** Columns, input channels. */
  static columnwise(numDevices: number, options: SplitOptions = {}): ShardingStrategy {
    return new ShardingStrategy({kind: 'columnwise', numDevices, ...checked('columnwise', options)});
  }

  /** Everything on every device. */
  static replicate(numDevices: number): ShardingStrategy {
    return new ShardingStrategy({kind: 'replicate', numDevices});
  }

  /** Rows are q, k and v, each numHeads * headDim: each third is split by whole heads, and a device's thirds are stacked again. */
  static stackedQkv(numDevices: number, numHeads: number, headDim: number): ShardingStrategy {
    return new ShardingStrategy({kind: 'stackedQkv', numDevices, numHeads, headDim});
  }

  /** Columns by whole heads. */
  static headAwareColumnwise(numDevices: number, numHeads: number, headDim: number): ShardingStrategy {
    return new ShardingStrategy({kind: 'headAwareColumnwise', numDevices, numHeads, headDim});
  }

  /** The axis holds gate and up, one half each: each half is split, and a device's halves are put together again. */
  static gateUp(numDevices: number, axis: 0 | 1 = 0): ShardingStrategy {
    return new ShardingStrategy({kind: 'gateUp', numDevices, axis});
  }

  /** Any axis, evenly. */
  static axiswise(axis: 0 | 1, numDevices: number, options: SplitOptions = {}): ShardingStrategy {
    return new ShardingStrategy({kind: 'axiswise', numDevices, axis, ...checked('axiswise', options)});
  }

  /** The axis is made of segments, each split on its own; together they must cover it. */
  static segmented(numDevices: number, axis: 0 | 1, segments: readonly Segment[]): ShardingStrategy {
    return new ShardingStrategy({kind: 'segmented', numDevices, axis, segments});
  }

  /** A whole module: an MLP splits gate and up by rows and down by columns. No single weight can be cut by it. */
  static tensorParallel(numDevices: number): ShardingStrategy {
    return new ShardingStrategy({kind: 'tensorParallel', numDevices});
  }

  /** From `toJSON`. Throws ArgumentError. */
  static from(config: StrategyConfig): ShardingStrategy {
    return new ShardingStrategy(config);
  }

  get kind(): StrategyKind {
    return this.config.kind;
  }

  get numDevices(): number {
    return this.config.numDevices;
  }

  /** 0: outputs are concatenated. 1: outputs are summed. null: every device has all of it. */
  get axis(): 0 | 1 | null {
    switch (this.config.kind) {
      case 'rowwise':
      case 'stackedQkv':
        return 0;
      case 'columnwise':
      case 'headAwareColumnwise':
        return 1;
      case 'gateUp':
      case 'axiswise':
      case 'segmented':
        return this.config.axis ?? 0;
      default:
        return null;
    }
  }

  /** Entries each device gets: [...] in proportion, whole heads and units kept. null: evenly. */
  get shares(): readonly number[] | null {
    return this.config.shares ?? null;
  }

  /** The same strategy with pieces in proportion to `shares`, one a device, instead of even ones. `unit` as in the options. */
  withShares(shares: readonly number[] | null, options: SplitOptions = {}): ShardingStrategy {
    const {shares: _old, ...rest} = this.config;
    return new ShardingStrategy({...rest, ...(shares === null ? {} : {shares}), ...checked('withShares', options)});
  }

  /**
   * What each device holds of a weight [N, K].
   * Throws ShapeError where the heads, halves or segments do not fill the axis, UnsupportedError for tensorParallel.
   */
  cuts(shape: readonly [number, number]): Cut[] {
    const {kind, numDevices} = this.config;
    const isShape = Array.isArray(shape) && shape.length === 2 && shape.every((size) => Number.isInteger(size) && size >= 0);
    if (!isShape) throw new ShapeError({where: `ShardingStrategy.${kind}: cuts`, expected: 'a shape [N, K]', received: `[${shape}]`});
    const [outDim, inDim] = shape;
    const whole: Cut = {rows: [[0, outDim]], columns: [[0, inDim]], bias: 'all'};
    if (kind === 'replicate') return Array.from({length: numDevices}, () => whole);
    if (kind === 'tensorParallel') {
      throw new UnsupportedError({
        where: 'ShardingStrategy.tensorParallel',
        expected: 'a module that splits its own weights',
        received: `one weight [${outDim}, ${inDim}]`,
        remedy: 'Use it on an MLP, or rowwise or columnwise on a weight.',
      });
    }
    const axis = this.axis as 0 | 1;
    const pieces = this.split(shape[axis]);
    return pieces.map((ranges, i): Cut => {
      if (axis === 0) return {...whole, rows: ranges, bias: 'rows'};
      return {...whole, columns: ranges, bias: i === 0 ? 'all' : 'none'};
    });
  }

  toJSON(): StrategyConfig {
    return this.config;
  }

  /** Ranges of an axis of `size` entries, for each device. */
  private split(size: number): Range[][] {
    const {numDevices} = this.config;
    const pieces: Range[][] = Array.from({length: numDevices}, () => []);
    let offset = 0;
    for (const stretch of this.stretches(size)) {
      splitStretch(stretch, numDevices, this.shares).forEach(([begin, end], i) =>
        (pieces[i] as Range[]).push([offset + begin, offset + end]),
      );
      offset += stretch.size;
    }
    if (offset !== size) throw this.misfit(size, `${offset} entries`);
    return pieces.map(joinNeighbours);
  }

  private stretches(size: number): Stretch[] {
    const {kind, numHeads = 0, headDim = 1, segments, unit = 1} = this.config;
    switch (kind) {
      case 'stackedQkv':
        return Array.from({length: 3}, () => ({size: numHeads * headDim, unit: headDim}));
      case 'headAwareColumnwise':
        return [{size: numHeads * headDim, unit: headDim}];
      case 'gateUp':
        if (size % 2 !== 0) throw this.misfit(size, 'two equal halves');
        return Array.from({length: 2}, () => ({size: size / 2, unit}));
      case 'segmented':
        return [...(segments ?? [])];
      default:
        return [{size, unit}];
    }
  }

  private misfit(size: number, described: string): ShapeError {
    const {kind, numHeads, headDim} = this.config;
    return new ShapeError({
      where: `ShardingStrategy.${kind}`,
      expected: `an axis of ${described}${numHeads === undefined ? '' : ` (${kind === 'stackedQkv' ? '3 * ' : ''}${numHeads} heads of ${headDim})`}`,
      received: `${size} ${this.axis === 0 ? 'rows' : 'columns'}`,
    });
  }
}

function heads(numHeads: number | undefined, headDim: number | undefined, kind: string): void {
  const where = `ShardingStrategy.${kind}`;
  count(numHeads as number, `${where}: numHeads`, 1);
  count(headDim as number, `${where}: headDim`, 1);
}

function isSegment(segment: Segment): boolean {
  return Number.isInteger(segment?.size) && segment.size >= 0 && Number.isInteger(segment.unit) && segment.unit > 0;
}

function count(value: number, where: string, least = 0): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw new ArgumentError({where, expected: `an integer of at least ${least}`, received: String(value)});
}

/** A number in place of options would be spread to nothing. */
function checked(name: string, options: SplitOptions): SplitOptions {
  checkOptions(`ShardingStrategy.${name}`, options, ['unit']);
  return options;
}
