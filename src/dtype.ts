import {ArgumentError} from './errors.js';

/**
 * Number types a weight, bias, scale or activation may have. Values are MAX's spellings.
 * Source: `max.dtype.DType`.
 */
export const DType = {
  float32: 'float32',
  float16: 'float16',
  bfloat16: 'bfloat16',
  /** Refused wherever a layer would compute with it: tf.js has no 64-bit floats. */
  float64: 'float64',
  int8: 'int8',
  uint8: 'uint8',
  int32: 'int32',
  float8_e4m3fn: 'float8_e4m3fn',
  float8_e5m2: 'float8_e5m2',
  float8_e4m3fnuz: 'float8_e4m3fnuz',
  float8_e5m2fnuz: 'float8_e5m2fnuz',
  float4_e2m1fn: 'float4_e2m1fn',
  float8_e8m0fnu: 'float8_e8m0fnu',
} as const;

export type DType = (typeof DType)[keyof typeof DType];

/** Throws unless `dtype` is one a dense layer can hold on tf.js: float32, float16 or bfloat16. */
export function checkDenseDType(dtype: DType, where: string): 'float32' | 'float16' | 'bfloat16' {
  if (dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16') return dtype;
  throw new ArgumentError({
    where,
    expected: 'dtype float32, float16 or bfloat16',
    received: dtype,
    why: dtype === 'float64' ? 'tf.js computes in 32-bit floats on every backend.' : 'Other types need a quantised weight.',
    remedy: dtype === 'float64' ? 'Cast to float32.' : 'Pass quantizationEncoding or float8Config, or load a checkpoint.',
  });
}
