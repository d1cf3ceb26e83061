/** How small numbers of a layout can be, so that only products that can be subnormal go the long way. */
import {FLOAT_FORMATS} from '../../float_codes.js';
import type {Decode, FloatType, LevelType} from '../../layout.js';

/** Exponent of the smallest normal float32, and of a type whose numbers may lie below it. */
export const LEAST_NORMAL = -126;
const SUBNORMAL = -149;

function leastOfFloat(type: FloatType): number {
  if (type === 'float32') return SUBNORMAL;
  const {bias, mantissaBits} = FLOAT_FORMATS[type];
  return bias === 127 ? SUBNORMAL : 1 - bias - mantissaBits;
}

/** The exponent of the smallest magnitude that is not 0: it is at least 2^this. */
export function leastOfNumber(decode: Decode): number {
  if (decode.kind === 'integer') return 0;
  if (decode.kind === 'float') return leastOfFloat(decode.type);
  return Math.min(0, ...decode.table.filter((v) => v !== 0).map((v) => Math.floor(Math.log2(Math.abs(v))) - 1));
}

export function leastOfLevel(type: LevelType): number {
  if (type === 'int8' || type === 'uint8') return 0;
  return type === 'float8_e8m0fnu' ? SUBNORMAL : leastOfFloat(type);
}

/** Of a product of two such numbers; SUBNORMAL where a factor or the product may be subnormal. */
export function leastOfProduct(a: number, b: number): number {
  return a < LEAST_NORMAL || b < LEAST_NORMAL || a + b < LEAST_NORMAL ? SUBNORMAL : a + b;
}
