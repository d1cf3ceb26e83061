/** Rounding a float32 weight [N, K] to the nearest numbers that fewer bits have. Host side. */
import {RowReader} from '../../kernels/cpu/row.js';
import {encodeFloat, roundHalfEven, toBfloat16} from '../../kernels/float_codes.js';
import {floatLayout, grid, type LevelType, type WeightLayout} from '../../kernels/layout.js';
import {allocateWords, packCodes, partsOf} from '../../kernels/words.js';
import {ArgumentError} from '../errors.js';

export type QuantizeMode = 'int8' | 'int4' | 'float8' | 'float16' | 'bfloat16';

export interface Rounding {
  readonly mode: QuantizeMode;
  /** Inputs that share a scale; -1: one scale an output channel. Integers only. */
  readonly groupSize: number;
}

export interface RoundedWeight {
  readonly layout: WeightLayout;
  readonly words: Int32Array;
}

/** Largest e4m3fn number. */
const FLOAT8_MAX = 448;
const F16_MIN_NORMAL = 2 ** -14;
const F16_MAX = 65504;
const F32_MIN = 2 ** -149;

/**
 * int8, int4: (q - 2^(bits - 1)) * scale with scale = absmax / (2^bits - 1) * 2, so that no weight is more than half a step off; scales float16
 * for groups where they fit, else float32. float8: e4m3fn codes, scale = absmax / 448 an output channel. 16 bits: the nearest float.
 * A group of zeros has the scale 1. Throws ArgumentError for a weight that is not finite, or beyond float16.
 * @param values [N, K]
 */
export function roundWeight(values: Float32Array, outDim: number, inDim: number, rounding: Rounding, where: string): RoundedWeight {
  switch (rounding.mode) {
    case 'int8':
      return roundIntegers(values, outDim, inDim, 8, rounding.groupSize, where);
    case 'int4':
      return roundIntegers(values, outDim, inDim, 4, rounding.groupSize, where);
    case 'float8':
      return roundFloat8(values, outDim, inDim, where);
    default:
      return roundFloat16(values, outDim, inDim, rounding.mode, where);
  }
}

function roundIntegers(values: Float32Array, outDim: number, inDim: number, bits: number, groupSize: number, where: string): RoundedWeight {
  const columns = groupSize === -1 ? inDim : Math.min(groupSize, inDim);
  const largest = largestOfGroups(values, outDim, inDim, columns, where);
  const scales = largest.map((amax) => scaleFor(amax, (2 ** bits - 1) / 2));
  const type = scaleType(scales, columns < inDim);
  if (type === 'float16') for (let i = 0; i < scales.length; i++) scales[i] = asFloat16(scales[i] as number);
  const middle = 2 ** (bits - 1);
  const layout: WeightLayout = {
    outDim,
    inDim,
    planes: [bits],
    decode: {kind: 'integer'},
    zero: {kind: 'constant', value: middle},
    scales: [{grid: grid(outDim, inDim, 1, columns), type, divide: false}],
    offsets: [],
    ordered: false,
    indexed: false,
  };
  const groups = Math.ceil(inDim / columns);
  const encode = (value: number, scale: number) => Math.min(2 * middle - 1, Math.max(0, roundHalfEven(value / scale) + middle));
  return pack(
    layout,
    encodeAll(values, outDim, inDim, (n, k) => scales[n * groups + Math.floor(k / columns)] as number, encode),
    scales,
  );
}

function roundFloat8(values: Float32Array, outDim: number, inDim: number, where: string): RoundedWeight {
  const scales = largestOfGroups(values, outDim, inDim, inDim, where).map((amax) => scaleFor(amax, FLOAT8_MAX));
  const scale = {grid: grid(outDim, inDim, 1, inDim), type: 'float32', divide: false} as const;
  const layout = floatLayout('float8_e4m3fn', outDim, inDim, [scale]);
  const encode = (value: number, scale: number) => encodeFloat('float8_e4m3fn', value / scale);
  return pack(
    layout,
    encodeAll(values, outDim, inDim, (n) => scales[n] as number, encode),
    scales,
  );
}

function roundFloat16(values: Float32Array, outDim: number, inDim: number, type: 'float16' | 'bfloat16', where: string): RoundedWeight {
  const layout = floatLayout(type, outDim, inDim);
  const codes = Uint16Array.from(values, type === 'bfloat16' ? toBfloat16 : (v) => encodeFloat('float16', v));
  const infinity = type === 'bfloat16' ? 0x7f80 : 0x7c00;
  const bad = codes.findIndex((code, i) => (code & 0x7fff) === infinity && Number.isFinite(values[i]));
  if (bad !== -1) {
    throw new ArgumentError({
      where: `${where}[${Math.floor(bad / inDim)}, ${bad % inDim}]`,
      expected: `a weight that ${type} has`,
      received: values[bad],
      remedy: type === 'float16' ? "Use mode 'bfloat16'." : '',
    });
  }
  return pack(layout, codes, new Float32Array(0));
}

/** absmax of each group [N, groups]. Throws at a weight that is not finite. */
function largestOfGroups(values: Float32Array, outDim: number, inDim: number, columns: number, where: string): Float32Array {
  const groups = Math.ceil(inDim / columns);
  const largest = new Float32Array(outDim * groups);
  for (let n = 0, i = 0; n < outDim; n++) {
    for (let k = 0; k < inDim; k++, i++) {
      const magnitude = Math.abs(values[i] as number);
      const at = n * groups + Math.floor(k / columns);
      if (!Number.isFinite(magnitude)) {
        throw new ArgumentError({where: `${where}[${n}, ${k}]`, expected: 'a finite weight', received: values[i]});
      }
      if (magnitude > (largest[at] as number)) largest[at] = magnitude;
    }
  }
  return largest;
}

/** Never 0: a group of zeros decodes to zeros under any scale, and a scale that underflows would lose its group. */
function scaleFor(amax: number, steps: number): number {
  return amax === 0 ? 1 : Math.max(F32_MIN, Math.fround(amax / steps));
}

function scaleType(scales: Float32Array, grouped: boolean): LevelType & ('float16' | 'float32') {
  return grouped && scales.every((s) => s >= F16_MIN_NORMAL && s <= F16_MAX) ? 'float16' : 'float32';
}

/** The next float16 number up, so that the largest weight of a group stays within its codes. Normal numbers only. */
function asFloat16(value: number): number {
  const step = 2 ** (Math.floor(Math.log2(value)) - 10);
  return Math.min(F16_MAX, Math.ceil(value / step) * step);
}

function encodeAll(
  values: Float32Array,
  outDim: number,
  inDim: number,
  scaleAt: (n: number, k: number) => number,
  encode: (value: number, scale: number) => number,
): Uint8Array {
  const codes = new Uint8Array(values.length);
  for (let n = 0, i = 0; n < outDim; n++) {
    for (let k = 0; k < inDim; k++, i++) codes[i] = encode(values[i] as number, scaleAt(n, k));
  }
  return codes;
}

function pack(layout: WeightLayout, codes: Uint8Array | Uint16Array, scales: Float32Array): RoundedWeight {
  const words = allocateWords(layout);
  const parts = partsOf(layout, words);
  packCodes(layout, parts, codes);
  const [level] = layout.scales;
  if (level !== undefined) {
    const stored = parts.scales[0] as Float32Array;
    for (let i = 0; i < scales.length; i++) {
      stored[i] = level.type === 'float16' ? encodeFloat('float16', scales[i] as number) : (scales[i] as number);
    }
  }
  return {layout, words};
}

/** How far the rounded weight is off: the largest difference, and |W - W'| / |W| in the 2-norm (0 for a weight of zeros). */
export function roundingError(values: Float32Array, {layout, words}: RoundedWeight): {maxError: number; relativeError: number} {
  const reader = new RowReader(layout, partsOf(layout, words));
  const row = new Float32Array(layout.inDim);
  let maxError = 0;
  let squares = 0;
  let norm = 0;
  for (let n = 0, i = 0; n < layout.outDim; n++) {
    reader.read(n, row);
    for (let k = 0; k < layout.inDim; k++, i++) {
      const value = values[i] as number;
      const difference = Math.abs(value - (row[k] as number));
      if (difference > maxError) maxError = difference;
      squares += difference * difference;
      norm += value * value;
    }
  }
  return {maxError, relativeError: norm === 0 ? 0 : Math.sqrt(squares / norm)};
}
