/**
 * Small floats as integer codes: exact decoding of every code, and rounding to nearest even.
 * Sources: IEEE 754 binary16; OCP 8-bit floating point (e4m3fn, e5m2) and microscaling (e2m1, e8m0) specifications;
 * the fnuz pair as in ml_dtypes (bias one more, no negative zero, 0x80 is NaN).
 */
import type {FloatType} from './layout.js';
import {remember} from './memo.js';

export interface FloatFormat {
  readonly bits: number;
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /** ieee: all-ones exponent is inf or NaN. fn: only all ones is NaN. fnuz: only negative zero is NaN. finite: no NaN. */
  readonly special: 'ieee' | 'fn' | 'fnuz' | 'finite';
}

export const FLOAT_FORMATS: Readonly<Record<Exclude<FloatType, 'float32'>, FloatFormat>> = {
  float16: {bits: 16, exponentBits: 5, mantissaBits: 10, bias: 15, special: 'ieee'},
  bfloat16: {bits: 16, exponentBits: 8, mantissaBits: 7, bias: 127, special: 'ieee'},
  float8_e4m3fn: {bits: 8, exponentBits: 4, mantissaBits: 3, bias: 7, special: 'fn'},
  float8_e5m2: {bits: 8, exponentBits: 5, mantissaBits: 2, bias: 15, special: 'ieee'},
  float8_e4m3fnuz: {bits: 8, exponentBits: 4, mantissaBits: 3, bias: 8, special: 'fnuz'},
  float8_e5m2fnuz: {bits: 8, exponentBits: 5, mantissaBits: 2, bias: 16, special: 'fnuz'},
  float4_e2m1fn: {bits: 4, exponentBits: 2, mantissaBits: 1, bias: 1, special: 'finite'},
};

/** Bits of a code of this type. */
export function floatBits(type: FloatType): number {
  return type === 'float32' ? 32 : FLOAT_FORMATS[type].bits;
}

function decodeOne(format: FloatFormat, code: number): number {
  const {bits, exponentBits, mantissaBits, bias, special} = format;
  const sign = code >>> (bits - 1) === 1 ? -1 : 1;
  const top = 2 ** exponentBits - 1;
  const exponent = (code >>> mantissaBits) & top;
  const mantissa = code & (2 ** mantissaBits - 1);
  if (special === 'ieee' && exponent === top) return mantissa === 0 ? sign * Infinity : NaN;
  if (special === 'fn' && exponent === top && mantissa === 2 ** mantissaBits - 1) return NaN;
  if (special === 'fnuz' && code === 2 ** (bits - 1)) return NaN;
  const value = exponent === 0 ? mantissa * 2 ** (1 - bias - mantissaBits) : (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
  return sign * value;
}

const tables = new Map<FloatType, Float32Array>();

/** float32 of every code of a type of at most 16 bits, by code. */
export function decodeTable(type: Exclude<FloatType, 'float32'>): Float32Array {
  return remember(tables, type, () => {
    const format = FLOAT_FORMATS[type];
    return Float32Array.from({length: 2 ** format.bits}, (_, code) => decodeOne(format, code));
  });
}

/** e8m0: 2^(code - 127), 255 is NaN. */
export function decodeE8m0(code: number): number {
  return code === 255 ? NaN : 2 ** (code - 127);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The bits of a number rounded to float32. */
export function float32Bits(value: number): number {
  scratch[0] = value;
  return scratchBits[0] as number;
}

/** The bfloat16 code nearest to `value`, ties to even; NaN stays NaN. */
export function toBfloat16(value: number): number {
  const bits = float32Bits(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/**
 * The code of `type` nearest to `value`, ties to even. Overflow goes to infinity where the type has one (ieee), else
 * to the largest finite number; the caller who wants saturation clamps first. NaN goes to the type's NaN code
 * (e2m1 has none: 0).
 */
export function encodeFloat(type: Exclude<FloatType, 'float32'>, value: number): number {
  const {bits, exponentBits, mantissaBits, bias, special} = FLOAT_FORMATS[type];
  const top = 2 ** exponentBits - 1;
  const signBit = 2 ** (bits - 1);
  if (Number.isNaN(value)) {
    if (special === 'ieee') return (top << mantissaBits) | (1 << (mantissaBits - 1)) | (bits === 8 ? 1 : 0);
    return special === 'fn' ? signBit - 1 : special === 'fnuz' ? signBit : 0;
  }
  const negative = value < 0 || Object.is(value, -0);
  const magnitude = Math.abs(value);
  const largestCode = special === 'ieee' ? (top << mantissaBits) - 1 : special === 'fn' ? signBit - 2 : signBit - 1;
  let code: number;
  if (magnitude === 0) code = 0;
  else if (magnitude === Infinity) code = special === 'ieee' ? top << mantissaBits : largestCode;
  else {
    const exponent = Math.max(Math.floor(Math.log2(magnitude)) + (2 ** Math.floor(Math.log2(magnitude)) > magnitude ? -1 : 0), 1 - bias);
    const step = 2 ** (exponent - mantissaBits);
    const steps = roundHalfEven(magnitude / step);
    // Mantissa overflow carries into the exponent by itself: codes are consecutive.
    code = exponent === 1 - bias ? steps : ((exponent + bias) << mantissaBits) + (steps - 2 ** mantissaBits);
    if (code > largestCode) code = special === 'ieee' ? top << mantissaBits : largestCode;
  }
  if (!negative || (special === 'fnuz' && code === 0)) return code;
  return code | signBit;
}

/** Nearest integer, ties to even (values below 2^52). */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
