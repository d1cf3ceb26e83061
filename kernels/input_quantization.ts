/**
 * Rounding of x to 8 or 4 bits before a product: what is rounded to, which entries share a scale, where the scale comes from.
 * It belongs to the op call, not to the weight.
 */
import * as tf from '@tensorflow/tfjs';
import {asFloats, checkBoolean, checkOptions, checkTensor} from '../src/arguments.js';
import {ArgumentError, ShapeError} from '../src/errors.js';

export type InputType = 'float8_e4m3fn' | 'float8_e5m2' | 'float8_e4m3fnuz' | 'float8_e5m2fnuz' | 'float4_e2m1fn' | 'int8' | 'bfloat16';

/**
 * Which entries of x [M, K] share a scale, in MAX's words. tensor: all. colwise: a row of x (a token). rowwise: a column of x (an input
 * feature). block: `block` columns of one row.
 */
export type InputGranularity = 'tensor' | 'rowwise' | 'colwise' | 'block';

/**
 * q = round(clamp(x / s)), x' = q * s, with s given (static) or from x (dynamic): s = min(max(amax, amaxFloor), scaleUb) / divisor.
 * Rounds to nearest, ties to even; what is too large saturates; NaN stays NaN (int8: 0); a scale of 0 gives zeros.
 */
export interface InputQuantization {
  readonly dtype: InputType;
  readonly origin: 'static' | 'dynamic';
  readonly granularity: InputGranularity;
  /** Columns of a block. Only, and always, with granularity 'block'. */
  readonly block?: number;
  /** static: the scale, a number or tensor [] | [1] (tensor), also [M, 1] (colwise), [K] (rowwise), [M, ceil(K / block)] (block). */
  readonly scale?: number | tf.Tensor;
  /** dynamic: upper bound of amax; larger values saturate. */
  readonly scaleUb?: number;
  /** dynamic: lower bound of amax (DeepSeek's kernels: 1e-4). */
  readonly amaxFloor?: number;
  /** dynamic: amax / divisor is the scale. Default: the largest number of dtype (448, 57344, 240, 6), 127 for int8. */
  readonly divisor?: number;
  /** Multiply by 1 / s (static) or divisor / amax (dynamic) instead of dividing by s: the last bit of x / s can differ. Default false. */
  readonly reciprocal?: boolean;
  /** dynamic: s is rounded up to a power of two, in a pass of its own over x (scale_fmt 'ue8m0' of DeepSeek V3.1). Default false. */
  readonly powersOfTwo?: boolean;
  /** dynamic: s = e4m3fn(globalScale * amax / divisor) / globalScale, the two levels of 4-bit block floats. */
  readonly globalScale?: number;
}

/** Keys of InputQuantization. */
export const INPUT_OPTIONS = 'dtype origin granularity block scale scaleUb amaxFloor divisor reciprocal powersOfTwo globalScale'.split(' ');

/** Largest finite number, mantissa bits, exponent bias and code of NaN. */
export interface TypeFacts {
  readonly max: number;
  readonly mantissaBits: number;
  readonly bias: number;
  readonly nan: number;
  /** Value bits of a code, without the sign. */
  readonly signBit: number;
}

export const INPUT_TYPES: Readonly<Record<Exclude<InputType, 'int8'>, TypeFacts>> = {
  float8_e4m3fn: {max: 448, mantissaBits: 3, bias: 7, nan: 0x7f, signBit: 0x80},
  float8_e5m2: {max: 57344, mantissaBits: 2, bias: 15, nan: 0x7f, signBit: 0x80},
  float8_e4m3fnuz: {max: 240, mantissaBits: 3, bias: 8, nan: 0x80, signBit: 0x80},
  float8_e5m2fnuz: {max: 57344, mantissaBits: 2, bias: 16, nan: 0x80, signBit: 0x80},
  float4_e2m1fn: {max: 6, mantissaBits: 1, bias: 1, nan: 0, signBit: 8},
  bfloat16: {max: 3.3895313892515355e38, mantissaBits: 7, bias: 127, nan: 0x7fc0, signBit: 0x8000},
};

/** Attributes of the kernel Fp8Quantize: x [M, K], scale [entries] or none -> [codes int32 or values float32 [M, K], scales [entries]]. */
export interface QuantizeAttrs {
  readonly dtype: InputType;
  readonly granularity: InputGranularity;
  readonly block: number;
  readonly scaleUb: number;
  readonly amaxFloor: number;
  readonly divisor: number;
  readonly reciprocal: boolean;
  /** The scale that the kernel is given came from x. */
  readonly powersOfTwo: boolean;
  /** 0: one level. */
  readonly globalScale: number;
  /** values: q * s as float32; else codes as int32 (int8: -128..127). */
  readonly values: boolean;
}

/** Number of scales of an [m, k] x. */
export function scaleCount(granularity: InputGranularity, m: number, k: number, block: number): number {
  return scaleShape(granularity, m, k, block).reduce((a, b) => a * b, 1);
}

export function scaleShape(granularity: InputGranularity, m: number, k: number, block: number): number[] {
  switch (granularity) {
    case 'tensor':
      return [];
    case 'colwise':
      return [m, 1];
    case 'rowwise':
      return [k];
    case 'block':
      return [m, Math.ceil(k / block)];
  }
}

/** Checks a scheme against x [m, k]; returns the kernel's attributes. Throws ArgumentError. */
export function quantizeAttrs(q: InputQuantization, values: boolean): QuantizeAttrs {
  const where = 'inputQuantization';
  checkOptions(where, q, INPUT_OPTIONS);
  const bad = (option: string, expected: string, received: unknown) =>
    new ArgumentError({where: `${where}: ${option}`, expected, received});
  if (q.dtype !== 'int8' && !Object.hasOwn(INPUT_TYPES, q.dtype))
    throw bad('dtype', `int8 or one of ${Object.keys(INPUT_TYPES).join(', ')}`, q.dtype);
  if (!['tensor', 'rowwise', 'colwise', 'block'].includes(q.granularity))
    throw bad('granularity', 'tensor, rowwise, colwise or block', q.granularity);
  if (q.origin !== 'static' && q.origin !== 'dynamic') throw bad('origin', 'static or dynamic', q.origin);
  if ((q.granularity === 'block') !== (q.block !== undefined))
    throw bad('block', "a number of columns with granularity 'block', and only there", q.block);
  if (q.block !== undefined && !(Number.isInteger(q.block) && q.block > 0)) throw bad('block', 'a positive integer', q.block);
  if ((q.origin === 'static') !== (q.scale !== undefined)) throw bad('scale', 'a scale with a static origin, and only there', q.scale);
  if (typeof q.scale === 'number' && !(q.scale >= 0 && q.scale < Infinity)) throw bad('scale', 'a finite number of at least 0', q.scale);
  if (q.origin === 'static' && (q.scaleUb ?? q.amaxFloor ?? q.globalScale) !== undefined)
    throw bad('scaleUb, amaxFloor, globalScale', 'none with a static scale', 'one');
  checkBoolean(`${where}: powersOfTwo`, q.powersOfTwo);
  if (q.powersOfTwo && (q.origin === 'static' || q.globalScale !== undefined))
    throw bad('powersOfTwo', 'a dynamic origin and no globalScale', `origin ${q.origin}, globalScale ${q.globalScale}`);
  for (const option of ['scaleUb', 'amaxFloor', 'divisor', 'globalScale'] as const) {
    const value = q[option];
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) throw bad(option, 'a positive number', value);
  }
  return {
    dtype: q.dtype,
    granularity: q.granularity,
    block: q.block ?? 0,
    scaleUb: q.scaleUb ?? Infinity,
    amaxFloor: q.amaxFloor ?? 0,
    divisor: q.divisor ?? (q.dtype === 'int8' ? 127 : INPUT_TYPES[q.dtype].max),
    reciprocal: q.reciprocal ?? false,
    powersOfTwo: q.powersOfTwo ?? false,
    globalScale: q.globalScale ?? 0,
    values,
  };
}

/** The static scale for x [m, k] as a float32 tensor, inside a tidy; null for a dynamic one. Throws ArgumentError, and ShapeError for another shape. */
export function scaleTensor(q: InputQuantization, m: number, k: number): tf.Tensor | null {
  if (q.scale === undefined) return null;
  const scale = typeof q.scale === 'number' ? tf.scalar(q.scale) : q.scale;
  checkTensor('inputQuantization: scale', scale);
  checkScale(q, scale.shape, m, k);
  return asFloats(scale);
}

/** Throws ShapeError unless a static scale's shape suits x [m, k]. */
export function checkScale(q: InputQuantization, shape: readonly number[], m: number, k: number): void {
  const full = scaleShape(q.granularity, m, k, q.block ?? 1);
  const allowed =
    q.granularity === 'rowwise' || q.granularity === 'block' ? [full] : q.granularity === 'tensor' ? [[], [1]] : [[], [1], full];
  if (allowed.some((s) => s.length === shape.length && s.every((d, i) => d === shape[i]))) return;
  throw new ShapeError({
    where: `inputQuantization: static ${q.granularity} scale for x [${m}, ${k}]`,
    expected: allowed.map((s) => `[${s}]`).join(' or '),
    received: `[${shape}]`,
  });
}
