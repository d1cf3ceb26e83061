/** Arguments of the public surface: what nothing reads would be ignored, and the numbers quietly others than meant. */
import * as tf from '@tensorflow/tfjs';
import {ArgumentError, didYouMean} from './errors.js';

/** Throws ArgumentError unless `given` is an object of what `of` says. */
export function checkObject(where: string, given: object, of = 'options'): void {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return;
  throw new ArgumentError({where, expected: `an object of ${of}`, received: Array.isArray(given) ? 'an array' : given});
}

/** Throws ArgumentError unless `options` is an object with keys among `known`, a signal one of this realm or another. */
export function checkOptions(where: string, options: object, known: readonly string[]): void {
  checkObject(where, options, `options: ${known.join(', ')}`);
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new ArgumentError({where, expected: `options among ${known.join(', ')}`, received: `'${key}'.${didYouMean(key, known)}`});
  }
  const {signal} = options as {signal?: AbortSignal};
  if (signal === undefined || typeof signal?.throwIfAborted === 'function') return;
  throw new ArgumentError({where: `${where}: signal`, expected: 'an AbortSignal', received: signal});
}

/** Throws ArgumentError unless `value` is one of a class, which `of` says. */
export function checkInstance(where: string, value: unknown, cls: abstract new (...values: never[]) => unknown, of: string): void {
  if (value instanceof cls) return;
  throw new ArgumentError({where, expected: of, received: (value as object | null | undefined)?.constructor?.name ?? value});
}

/** Throws ArgumentError unless `value` is an array of what `of` says. */
export function checkArray(where: string, value: readonly unknown[], of: string): void {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return;
  throw new ArgumentError({where, expected: `an array of ${of}`, received: value});
}

/** Throws ArgumentError unless `value` is an integer of at least `least` that tf.js's shapes can hold. */
export function checkDim(value: number, name: string, where: string, least = 1): number {
  const isWhole = Number.isInteger(value) && value >= least;
  if (isWhole && value < 2 ** 31) return value;
  const limit = isWhole ? ' and below 2^31' : '';
  throw new ArgumentError({where: `${where}: ${name}`, expected: `an integer of at least ${least}${limit}`, received: value});
}

/** Throws ArgumentError unless `value` is left out, true or false. */
export function checkBoolean(where: string, value: boolean | null | undefined): void {
  if (value === undefined || value === null || typeof value === 'boolean') return;
  throw new ArgumentError({where, expected: 'true or false', received: value});
}

/** Throws ArgumentError unless `value` is left out or a function. */
export function checkFunction(where: string, value: ((...values: never[]) => unknown) | null | undefined): void {
  if (value === undefined || value === null || typeof value === 'function') return;
  throw new ArgumentError({where, expected: 'a function', received: value});
}

/** Throws ArgumentError unless a name is left out or text. */
export function checkName(name: string | undefined, where: string): void {
  if (name === undefined || (typeof name === 'string' && name !== '')) return;
  throw new ArgumentError({where: `${where}: name`, expected: 'text', received: name === '' ? '""' : name});
}

/** tf.js's types of real numbers. */
const NUMBERS: readonly string[] = ['float32', 'int32', 'bool'];

/** Throws ArgumentError unless `x` is a tensor of real numbers that has not been disposed. */
export function checkTensor(where: string, x: tf.Tensor): void {
  if (x instanceof tf.Tensor && !x.isDisposed && NUMBERS.includes(x.dtype)) return;
  const kind = () => (x.isDisposed ? 'a disposed one' : `${x.dtype} [${x.shape}]`);
  const received = x instanceof tf.Tensor ? kind() : ArrayBuffer.isView(x) || Array.isArray(x) ? 'an array' : x;
  throw new ArgumentError({
    where,
    expected: 'a tensor of real numbers',
    received,
    ...(received === 'an array' ? {remedy: 'Pass tf.tensor(...) of it.'} : {}),
  });
}

/** `t` as float32 in the memory of one, inside a tidy: tf.cast alone renames integers on most backends, and kernels read memory. */
export function asFloats<T extends tf.Tensor>(t: T): T {
  return t.dtype === 'float32' ? t : tf.mul(tf.cast(t, 'float32'), 1);
}

/** Whether asFloats has nothing to do: a kernel then leaves nothing in between to free, and no tidy is needed, which has its price. */
export function areFloats(tensors: readonly (tf.Tensor | null | undefined)[]): boolean {
  return tensors.every((t) => !t || t.dtype === 'float32');
}
