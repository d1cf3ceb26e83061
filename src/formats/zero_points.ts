/** Zero points that a symmetric layer's file holds all the same: all 0 and thus of no effect. */
import {UnsupportedError} from '../errors.js';
import type {FileTensor, Module} from './format.js';

/** Its dtype and shape, for raise; null where there is none. Throws UnsupportedError for one that is not 0. */
export function idleZeroPoint(module: Module, name: string): {dtype: string; shape: readonly number[]} | null {
  const tensor = module.tensors.get(name);
  if (tensor === undefined) return null;
  const at = tensor.data.findIndex((byte) => byte !== 0);
  if (at === -1) return {dtype: tensor.dtype, shape: tensor.shape};
  throw new UnsupportedError({
    where: `${module.module}.${name}`,
    expected: 'zero points of 0, the scheme being symmetric',
    received: `a byte 0x${(tensor.data[at] as number).toString(16)} at ${at}`,
  });
}

const BYTES: Readonly<Record<string, number>> = {F32: 4, I32: 4, I64: 8, F16: 2, BF16: 2};

/** The tensor again. */
export function zeroTensor({dtype, shape}: {dtype: string; shape: readonly number[]}): FileTensor {
  return {dtype, shape, data: new Uint8Array(shape.reduce((a, b) => a * b, BYTES[dtype] ?? 1))};
}
