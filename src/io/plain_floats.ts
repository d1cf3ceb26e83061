/** Tensors of plain numbers as float32. */
import {decodeTable} from '../../kernels/float_codes.js';
import {UnsupportedError} from '../errors.js';

const NUMBERS = {
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/** Plain floats and integers as float32, or null where the type is a block format. Integers beyond 2^24 lose bits. */
export function toFloat32(dtype: string, data: Uint8Array, where: string): Float32Array | null {
  const {buffer, byteOffset, byteLength} = data;
  if (dtype === 'F32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  if (dtype === 'F16' || dtype === 'BF16') {
    const table = decodeTable(dtype === 'F16' ? 'float16' : 'bfloat16');
    return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), (code) => table[code] as number);
  }
  if (Object.hasOwn(NUMBERS, dtype)) {
    const Numbers = NUMBERS[dtype as 'I64'];
    return Float32Array.from(new Numbers(buffer, byteOffset, byteLength / Numbers.BYTES_PER_ELEMENT), Number);
  }
  if (!/^(F8_|F4|F6)/.test(dtype)) return null;
  throw new UnsupportedError({
    where,
    expected: 'a type that stands alone',
    received: dtype,
    why: 'Its codes mean nothing without their scales.',
    remedy: 'Read the module with linear().',
  });
}
