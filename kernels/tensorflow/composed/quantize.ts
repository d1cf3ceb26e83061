/** Fp8Quantize by stock ops: x rounded to small numbers with a scale for some of its entries, each step rounded to float32. */
import {INPUT_TYPES, type InputType, type QuantizeAttrs, scaleShape, type TypeFacts} from '../../input_quantization.js';
import {DTYPE, type Handle} from '../backend.js';
import type {Ops} from './ops.js';

/** x [m, k] as three dimensions of which one shares a scale. */
interface View {
  readonly shape: readonly [number, number, number];
  readonly axis: number;
  /** Columns that zeros fill up. */
  readonly padded: number;
}

function viewOf({granularity, block}: QuantizeAttrs, m: number, k: number): View {
  if (granularity === 'tensor') return {shape: [1, 1, m * k], axis: 2, padded: k};
  if (granularity === 'rowwise') return {shape: [1, m, k], axis: 1, padded: k};
  const blocks = granularity === 'block' ? Math.ceil(k / block) : 1;
  const width = granularity === 'block' ? block : k;
  return {shape: [m, blocks, width], axis: 2, padded: blocks * width};
}

const clamp = (ops: Ops, v: Handle, low: number, high: number) =>
  ops.binary('Minimum', ops.binary('Maximum', v, ops.scalar(low)), ops.scalar(high));

/** v on the grid of a float type, saturated; not for NaN. Adding 1.5 * 2^23 steps and taking them away rounds to a step, ties to even. */
function roundToGrid(ops: Ops, v: Handle, {max, mantissaBits, bias}: TypeFacts): Handle {
  const within = clamp(ops, v, -max, max);
  const exponent = ops.binary('BitwiseAnd', ops.bitcast(within, DTYPE.int32), ops.scalar(0x7f800000, DTYPE.int32));
  const power = ops.binary('Maximum', ops.bitcast(exponent, DTYPE.float32), ops.scalar(2 ** (1 - bias)));
  const shift = ops.binary('Mul', power, ops.scalar(1.5 * 2 ** (23 - mantissaBits)));
  return ops.binary('Sub', ops.binary('AddV2', within, shift), shift);
}

/** The numbers that v rounds to. */
export function rounded(ops: Ops, dtype: InputType, v: Handle): Handle {
  const unreal = ops.unary('IsNan', v);
  if (dtype === 'int8') return ops.select(unreal, ops.scalar(0), clamp(ops, ops.unary('Round', v), -128, 127));
  const facts = INPUT_TYPES[dtype];
  const near =
    dtype === 'bfloat16'
      ? ops.cast(ops.cast(clamp(ops, v, -facts.max, facts.max), DTYPE.bfloat16), DTYPE.float32)
      : roundToGrid(ops, v, facts);
  // The 4-bit float has no NaN.
  return ops.select(unreal, ops.scalar(dtype === 'float4_e2m1fn' ? 0 : Number.NaN), near);
}

/** Codes int32 of the numbers that v rounds to. */
function codes(ops: Ops, dtype: InputType, v: Handle): Handle {
  const near = rounded(ops, dtype, v);
  if (dtype === 'int8') return ops.cast(near, DTYPE.int32);
  const facts = INPUT_TYPES[dtype];
  const code =
    dtype === 'bfloat16'
      ? ops.cast(ops.bitcast(ops.cast(near, DTYPE.bfloat16), DTYPE.uint16), DTYPE.int32)
      : smallCodes(ops, dtype, v, near);
  return ops.select(ops.unary('IsNan', v), ops.scalar(facts.nan, DTYPE.int32), code);
}

function smallCodes(ops: Ops, dtype: Exclude<InputType, 'int8'>, v: Handle, near: Handle): Handle {
  const {mantissaBits, bias, signBit} = INPUT_TYPES[dtype];
  const magnitude = ops.unary('Abs', near);
  // Exponent and mantissa of a normal number are its float32 bits, moved down; a subnormal one is its number of steps.
  const bits = ops.binary('RightShift', ops.bitcast(magnitude, DTYPE.int32), ops.scalar(23 - mantissaBits, DTYPE.int32));
  const normal = ops.binary('Sub', ops.cast(bits, DTYPE.float32), ops.scalar((127 - bias) * 2 ** mantissaBits));
  const steps = ops.binary('Mul', magnitude, ops.scalar(2 ** (bias + mantissaBits - 1)));
  const value = ops.select(ops.binary('Less', magnitude, ops.scalar(2 ** (1 - bias))), steps, normal);
  // The sign of v and not of what it rounds to: a small negative number is -0, except where the type has none.
  const negative = ops.binary('Less', ops.bitcast(v, DTYPE.int32), ops.scalar(0, DTYPE.int32));
  const signed = ops.select(negative, ops.binary('AddV2', value, ops.scalar(signBit)), value);
  const zero = ops.binary('Equal', value, ops.scalar(0));
  return ops.cast(dtype.endsWith('fnuz') ? ops.select(zero, ops.scalar(0), signed) : signed, DTYPE.int32);
}

/** Dynamic scales of the largest magnitudes, and what x is multiplied by instead of divided where the scheme says so. */
function dynamicScales(ops: Ops, amax: Handle, attrs: QuantizeAttrs): {scale: Handle; inverse: Handle} {
  const floored = ops.binary('Maximum', amax, ops.scalar(attrs.amaxFloor));
  const bounded = attrs.scaleUb === Number.POSITIVE_INFINITY ? floored : ops.binary('Minimum', floored, ops.scalar(attrs.scaleUb));
  // In float64, since the divisor may be no float32.
  const wide = ops.cast(bounded, DTYPE.float64);
  const divisor = ops.scalar(attrs.divisor, DTYPE.float64);
  const plain = ops.cast(ops.binary('RealDiv', wide, divisor), DTYPE.float32);
  const inverse = ops.cast(ops.binary('RealDiv', divisor, wide), DTYPE.float32);
  if (attrs.globalScale === 0) return {scale: plain, inverse};
  const global = ops.scalar(attrs.globalScale);
  const level = rounded(ops, 'float8_e4m3fn', ops.binary('Mul', global, plain));
  return {scale: ops.binary('RealDiv', level, global), inverse};
}

/** x [m, k], scale [1] or one an entry, or null for dynamic ones -> codes int32 or numbers float32 [m, k], or scales of their own shape. */
export function quantized(ops: Ops, x: Handle, given: Handle | null, attrs: QuantizeAttrs, want: 'out' | 'scales'): Handle {
  const [m, k] = x.shape as [number, number];
  const {shape, axis, padded} = viewOf(attrs, m, k);
  const view = ops.reshape(padded === k ? x : ops.padColumns(x, padded), shape);
  const ofScales = shape.map((d, i) => (i === axis ? 1 : d));
  const {scale, inverse} =
    given === null
      ? dynamicScales(ops, ops.max(ops.unary('Abs', view), axis), attrs)
      : {
          scale: ops.broadcast(ops.reshape(given, given.shape.reduce((a, b) => a * b, 1) === 1 ? [1, 1, 1] : ofScales), ofScales),
          inverse: null,
        };
  if (want === 'scales') return ops.reshape(scale, scaleShape(attrs.granularity, m, k, attrs.block));
  const divided = attrs.reciprocal
    ? ops.binary('Mul', view, inverse ?? ops.binary('RealDiv', ops.scalar(1), scale))
    : ops.binary('RealDiv', view, scale);
  // A scale of 0 gives zeros (v - v: NaN stays).
  const scaled = ops.select(ops.binary('Equal', scale, ops.scalar(0)), ops.binary('Sub', view, view), divided);
  const out = attrs.values ? ops.binary('Mul', rounded(ops, attrs.dtype, scaled), scale) : codes(ops, attrs.dtype, scaled);
  return padded === k ? ops.reshape(out, [m, k]) : ops.slice(ops.reshape(out, [m, padded]), [0, 0], [m, k]);
}
