/** The oracle's reading of one row of a packed weight: plain loops, one float32 rounding a step. */
import {decodeE8m0, decodeTable} from '../float_codes.js';
import type {Decode, Grid, Level, WeightLayout} from '../layout.js';
import {codeArray, type LevelView, type Parts, unpackRowCodes, unpackZeros} from '../words.js';

const fround = Math.fround;

/** Reads rows of one weight. Holds no copy of the codes; scales and zeros are read where they lie. */
export class RowReader {
  private readonly codes;
  private readonly zeros;

  constructor(
    readonly layout: WeightLayout,
    private readonly parts: Parts,
  ) {
    this.codes = codeArray(layout, layout.inDim);
    this.zeros = unpackZeros(layout, parts);
  }

  /** Row n into out[K], in the weight's own column order. */
  read(n: number, out: Float32Array): void {
    const {layout, parts, codes} = this;
    unpackRowCodes(layout, parts, n, codes);
    const zero = layout.zero;
    const divides = layout.scales[0]?.divide === true;
    for (let j = 0; j < layout.inDim; j++) {
      let value = decodeCode(layout.decode, codes[j] as number);
      if (zero.kind === 'constant') value = fround(value - zero.value);
      else if (zero.kind === 'codes') value = fround(value - (this.zeros[this.entry(zero.grid, n, j)] as number));
      if (layout.scales.length > 0) {
        const scale = this.levels(layout.scales, parts.scales, n, j);
        value = divides ? fround(value / scale) : fround(value * scale);
      }
      if (layout.offsets.length > 0) value = fround(value + this.levels(layout.offsets, parts.offsets, n, j));
      out[layout.ordered ? (parts.order[j] as number) : j] = value;
    }
  }

  private entry(grid: Grid, n: number, j: number): number {
    const row = Math.floor((n + grid.rowPhase) / grid.rows);
    const column = grid.indexed ? (this.parts.groupIndex[j] as number) : Math.floor((j + grid.columnPhase) / grid.columns);
    return row * grid.shape[1] + column;
  }

  private levels(levels: readonly Level[], views: readonly LevelView[], n: number, j: number): number {
    let product = 0;
    for (let i = 0; i < levels.length; i++) {
      const level = levels[i] as Level;
      const value = levelNumber(level, views[i] as LevelView, this.entry(level.grid, n, j));
      if (i === 0) product = value;
      else product = level.divide ? fround(product / value) : fround(product * value);
    }
    return product;
  }
}

const bits = new Uint32Array(1);
const bitsAsFloat = new Float32Array(bits.buffer);

/** The number a code stands for. */
export function decodeCode(decode: Decode, code: number): number {
  if (decode.kind === 'integer') return code;
  if (decode.kind === 'table') return decode.table[code] as number;
  if (decode.type !== 'float32') return decodeTable(decode.type)[code] as number;
  bits[0] = code;
  return bitsAsFloat[0] as number;
}

/** Entry `at` of a level as a float32 number. */
export function levelNumber(level: Level, view: LevelView, at: number): number {
  const stored = view[at] as number;
  switch (level.type) {
    case 'float32':
    case 'int8':
    case 'uint8':
      return stored;
    case 'float8_e8m0fnu':
      return decodeE8m0(stored);
    default:
      return decodeTable(level.type)[stored] as number;
  }
}
