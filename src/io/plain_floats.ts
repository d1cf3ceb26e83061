/** Tensors of plain numbers as float32. */
import {decodeTable} from '../../kernels/float_codes.js';
import {UnsupportedError} from '../errors.js';

/** Plain floats and integers as float32, or null where the type is a block format. Integers beyond 2^24 lose bits. */
export function toFloat32(dtype: string, data: Uint8Array, where: string): Float32Array | null {
  const {buffer, byteOffset, byteLength} = data;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'F16':
    case 'BF16': {
      const table = decodeTable(dtype === 'F16' ? 'float16' : 'bfloat16');
      return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), (code) => table[code] as number);
    }
    case 'I32':
      return Float32Array.from(new Int32Array(buffer, byteOffset, byteLength / 4));
    case 'U32':
      return Float32Array.from(new Uint32Array(buffer, byteOffset, byteLength / 4));
    case 'I16':
      return Float32Array.from(new Int16Array(buffer, byteOffset, byteLength / 2));
    case 'U16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'I8':
      return Float32Array.from(new Int8Array(buffer, byteOffset, byteLength));
    case 'U8':
    case 'BOOL':
      return Float32Array.from(data);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number);
    case 'U64':
      return Float32Array.from(new BigUint64Array(buffer, byteOffset, byteLength / 8), Number);
    default:
      if (/^(F8_|F4|F6)/.test(dtype)) {
        throw new UnsupportedError({
          where,
          expected: 'a type that stands alone',
          received: dtype,
          why: 'Its codes mean nothing without their scales.',
          remedy: 'Read the module with linear().',
        });
      }
      return null;
  }
}
