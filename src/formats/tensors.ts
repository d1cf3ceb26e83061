/** Reading file tensors: typed views, and checks of dtype, shape and finite scales. */
import {decodeE8m0, decodeTable} from '../../kernels/float_codes.js';
import type {LevelType} from '../../kernels/layout.js';
import {FileFormatError, ShapeError, UnsupportedError} from '../errors.js';
import {checkBytes} from './dense.js';
import {type FileTensor, type Module, type ModuleHeader, need, type TensorHeader} from './format.js';

/** Words of an I32 tensor, unsigned. */
export function wordsOf(tensor: FileTensor): Uint32Array {
  return new Uint32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength >>> 2);
}

export function int32sOf(tensor: FileTensor): Int32Array {
  return new Int32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength >>> 2);
}

/** The bytes of a typed array, without a copy. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** A tensor of these numbers' bytes. */
export function fileTensor(dtype: string, shape: readonly number[], array: ArrayBufferView): FileTensor {
  return {dtype, shape, data: bytesOf(array)};
}

const LEVEL_TYPES: Readonly<Record<string, LevelType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  F8_E4M3: 'float8_e4m3fn',
  F8_E8M0: 'float8_e8m0fnu',
};

const DTYPES: Readonly<Partial<Record<LevelType, string>>> = Object.fromEntries(Object.entries(LEVEL_TYPES).map(([a, b]) => [b, a]));

/** The file's dtype for a scale type. */
export function dtypeOfLevel(type: LevelType): string {
  return DTYPES[type] as string;
}

/** The tensor, which must be there with one of these dtypes. */
export function needDtype<T extends TensorHeader>(
  module: {module: string; tensors: ReadonlyMap<string, T>},
  name: string,
  dtypes: readonly string[],
): T {
  const tensor = need(module, name);
  if (dtypes.includes(tensor.dtype)) return tensor;
  throw new UnsupportedError({
    where: `${module.module}.${name}`,
    expected: `dtype ${dtypes.join(' or ')}`,
    received: `${tensor.dtype} [${tensor.shape}]`,
  });
}

/** The scale type of a tensor's dtype. Throws where scales of that dtype are not read. */
export function levelTypeOf(module: string, name: string, tensor: TensorHeader): LevelType {
  const type = LEVEL_TYPES[tensor.dtype];
  if (type !== undefined) return type;
  throw new UnsupportedError({
    where: `${module}.${name}`,
    expected: `scales of dtype ${Object.keys(LEVEL_TYPES).join(', ')}`,
    received: tensor.dtype,
  });
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** Throws ShapeError unless the tensor has this shape; `axes` says in words where the numbers come from. */
export function needShape(module: string, name: string, tensor: TensorHeader, shape: readonly number[], axes: string, remedy = ''): void {
  if (sameShape(tensor.shape, shape)) return;
  throw new ShapeError({where: `${module}.${name}`, expected: `[${shape}], ${axes}`, received: `[${tensor.shape}]`, remedy});
}

/** Entries of a level in storage form: codes for the small floats. Shares the tensor's memory. */
export function levelEntries(type: LevelType, tensor: FileTensor): Float32Array | Uint16Array | Uint8Array {
  const {buffer, byteOffset, byteLength} = tensor.data;
  if (type === 'float32') return new Float32Array(buffer, byteOffset, byteLength >>> 2);
  if (type === 'float16' || type === 'bfloat16') return new Uint16Array(buffer, byteOffset, byteLength >>> 1);
  return tensor.data;
}

/** float32 numbers of a level's entries. */
export function levelNumbers(type: LevelType, tensor: FileTensor): Float32Array {
  const entries = levelEntries(type, tensor);
  if (type === 'float32') return entries as Float32Array;
  if (type === 'float8_e8m0fnu') return Float32Array.from(entries, decodeE8m0);
  const table = decodeTable(type as 'float16');
  return Float32Array.from(entries, (code) => table[code] as number);
}

/** Throws FileFormatError at the first scale that is not a finite number, or by which nothing can be divided. */
export function refuseBadScales(module: ModuleHeader, name: string, type: LevelType, tensor: FileTensor, divide = false): void {
  const entries = levelEntries(type, tensor);
  const finite = type === 'float32' ? (entries as Float32Array).findIndex((v) => !Number.isFinite(v)) : firstBadCode(type, entries);
  const bad = finite === -1 && divide ? levelNumbers(type, tensor).indexOf(0) : finite;
  if (bad === -1) return;
  const at = indexOf(bad, tensor.shape);
  throw new FileFormatError({
    where: `${module.module}.${name}[${at}]`,
    expected: divide ? 'a finite scale other than 0' : 'a finite scale',
    received:
      type === 'float32' || finite === -1
        ? String(entries[bad])
        : `code 0x${(entries[bad] as number).toString(16)} of ${type}, which is not finite`,
    why: 'It would spread to every value of its group.',
    remedy: 'The file is damaged or its writer divided by zero; quantise the layer again.',
  });
}

function firstBadCode(type: LevelType, entries: ArrayLike<number>): number {
  // The exponent field alone tells: all ones (and for e4m3fn the mantissa as well).
  const mask = type === 'float16' ? 0x7c00 : type === 'bfloat16' ? 0x7f80 : type === 'float8_e4m3fn' ? 0x7f : 0xff;
  for (let i = 0; i < entries.length; i++) if (((entries[i] as number) & mask) === mask) return i;
  return -1;
}

/** 'a, b' of a flat index. */
export function indexOf(flat: number, shape: readonly number[]): string {
  const at: number[] = [];
  for (let i = shape.length - 1; i >= 0; i--) {
    at.unshift(flat % (shape[i] as number));
    flat = Math.floor(flat / (shape[i] as number));
  }
  return at.join(', ');
}

const DTYPE_BYTES: Readonly<Record<string, number>> = {F32: 4, I32: 4, I64: 8, F16: 2, BF16: 2};

/** Throws FileFormatError unless the tensor's data has the length that its dtype and shape say. */
export function needBytes(module: string, name: string, tensor: FileTensor): void {
  checkBytes(tensor, sizeOf(tensor.shape) * (DTYPE_BYTES[tensor.dtype] ?? 1), `${module}.${name}`);
}

/** The bytes of a tensor, all of which must be there. */
export function wholeBytes(module: Module, name: string): Uint8Array {
  const tensor = need(module, name);
  needBytes(module.module, name, tensor);
  return tensor.data;
}
