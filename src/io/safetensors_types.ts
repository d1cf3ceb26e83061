/** The number types of safetensors files, by the names they have there. */

/**
 * Bits of one element. In the reference implementation's order, which sorts a written file's tensors from last to first, so
 * that the wide types come first and every tensor is aligned.
 */
export const SAFETENSORS_BITS = {
  BOOL: 8,
  /** Two to a byte, low nibble first; the shape counts elements. */
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type SafetensorsDtype = keyof typeof SAFETENSORS_BITS;

export const SAFETENSORS_DTYPES = Object.keys(SAFETENSORS_BITS) as readonly SafetensorsDtype[];

export function isSafetensorsDtype(name: unknown): name is SafetensorsDtype {
  return typeof name === 'string' && Object.hasOwn(SAFETENSORS_BITS, name);
}

/** Bytes of a tensor, or null where its bits do not fill whole bytes or its size is beyond 2^53. */
export function safetensorsBytes(dtype: SafetensorsDtype, shape: readonly number[]): number | null {
  const bits = SAFETENSORS_BITS[dtype];
  let elements = 1;
  for (const dimension of shape) {
    elements *= dimension;
    if (!Number.isSafeInteger(elements * bits)) return null;
  }
  return (elements * bits) % 8 === 0 ? (elements * bits) / 8 : null;
}
