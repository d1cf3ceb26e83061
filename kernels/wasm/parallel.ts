/** Which exports of the module can be called for some of their rows at a time, so that several threads share one call. */
import type {WasmExports} from './module.js';

export type ExportName = keyof WasmExports;

/** How a call's rows are cut: places of the arguments that differ from part to part. */
export interface Cut {
  /** Arguments that are the first row and the row past the last; or, where rows begin at 0, the one that is their number. */
  readonly rows: {readonly begin: number; readonly end: number} | {readonly count: number};
  /** Addresses of what belongs to the first row, and their bytes a row. */
  readonly moves: readonly {readonly at: number; readonly step: number}[];
  /** Kernels take several rows at a time: parts of a multiple of this do the same arithmetic as the whole. */
  readonly together: number;
  /** Memory that a thread needs for itself: the argument, and how much; -1: none. */
  readonly scratchAt: number;
  readonly scratchBytes: number;
  /** What a row costs, in 4-bit multiplications: some 16 of them take a nanosecond. */
  readonly cost: number;
}

/** Parts a thread, at most: enough that the last to finish is not far behind. */
const PARTS = 4;

/** A part costs no less, where there are others: some thirty microseconds. Each begins with weights that are not in the cache. */
const PART_COST = 2 ** 19;

/** Rows of a part. @param cost of a row @param together as Cut has it */
export function rowsOfPart(rows: number, cost: number, threads: number, together: number): number {
  const count = threads * Math.min(PARTS, Math.max(1, Math.round((rows * cost) / (threads * PART_COST))));
  return Math.max(1, Math.ceil(rows / (count * together))) * together;
}

/** A call: its arguments, and K of the weight whose descriptor lies at an address. */
export interface Call {
  readonly args: readonly number[];
  inDimAt(descriptor: number): number;
}

const at = ({args}: Call, i: number): number => args[i] as number;

const DESCRIPTOR = 1;

/** Products with a weight, by rows of the weight: each is a column of y. `rows`: the argument that is the number of rows of x; null: one. */
function product(begin: number, y: number, scratch: number, rows: number | null, bytes = workBytes) {
  return (call: Call): Cut => {
    const inDim = call.inDimAt(at(call, DESCRIPTOR));
    return {
      rows: {begin, end: begin + 1},
      together: 16,
      moves: [{at: y, step: 4}],
      scratchAt: scratch,
      scratchBytes: bytes(inDim),
      cost: inDim * (rows === null ? 1 : at(call, rows)),
    };
  };
}

/** Steps between products, by rows of x. `each`: cost of a number of the result. */
function elementwise(count: number, width: number, each: number, moves: readonly {at: number; widths: number}[]) {
  return (call: Call): Cut => {
    const n = at(call, width);
    return {
      rows: {count},
      together: 1,
      moves: moves.map((m) => ({at: m.at, step: 4 * m.widths * n})),
      scratchAt: -1,
      scratchBytes: 0,
      cost: each * n,
    };
  };
}

/** Attention, by rows of q: a row of floats costs four times one of codes, in both of its products. */
function attention(call: Call): Cut {
  const [count, dim, positions] = [at(call, 3), at(call, 6), at(call, 7) + at(call, 3)];
  return {
    rows: {begin: 1, end: 2},
    together: 1,
    moves: [],
    scratchAt: 11,
    scratchBytes: scoreBytes(positions),
    cost: 8 * dim * (positions - (count - 1) / 2),
  };
}

export const CUTS: Readonly<Partial<Record<ExportName, (call: Call) => Cut>>> = {
  gemv: product(7, 9, 10, null),
  gemvBytes: product(7, 9, 10, null),
  gemvDots: product(7, 9, 10, null),
  gemm: product(8, 10, 12, 5),
  gemmFloats: product(4, 6, 8, 3, floatBytes),
  gemvFloats: product(5, 7, 8, null),
  attend: attention,
  gated: elementwise(1, 2, 50, [
    {at: 0, widths: 2},
    {at: 4, widths: 1},
  ]),
  rmsNorm: elementwise(2, 3, 16, [
    {at: 0, widths: 1},
    {at: 5, widths: 1},
  ]),
  finish: elementwise(2, 3, 32, [{at: 0, widths: 1}]),
};

/** What products of float32 rows need: float64 results of 128 rows, a part of a panel, 16 rows as float32 and one row of codes. */
export function floatBytes(inDim: number): number {
  return 32_768 + 64 * (inDim + 16) + ((inDim + 31) & ~31) + 64;
}

/** What any of the other products needs for itself: a part of a panel and results of 128 rows, eight rows of codes, 19 runs of scales in blocks of 16. */
export function workBytes(inDim: number): number {
  return 20_992 + 8 * ((inDim + 31) & ~31) + 19 * 4 * (inDim / 16 + 4) + 256;
}

/** What attention over so many positions needs: the scores of two rows. */
export function scoreBytes(positions: number): number {
  return 8 * (positions + 8);
}
