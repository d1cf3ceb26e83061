/** Schemes of input quantisation from a config and a module's scale tensors. */
import type {CompressedArgs} from '../config/compressed_groups.js';
import {FileFormatError, UnsupportedError} from '../errors.js';
import type {FileTensor, InputScheme, Module} from './format.js';
import {fileTensor, levelEntries, levelNumbers, levelTypeOf, sizeOf} from './tensors.js';

/** A tensor of one number, in details: enough to write it again. */
export interface StoredScalar {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Its float32 value, and its code for the smaller floats. */
  readonly value: number;
  readonly code: number;
}

/** The one positive, finite number of a scale tensor ([] or [1]). Throws where it is not one. */
export function scalarOf(module: Module, name: string): StoredScalar | null {
  const tensor = module.tensors.get(name);
  if (tensor === undefined) return null;
  const type = levelTypeOf(module.module, name, tensor);
  const value = sizeOf(tensor.shape) === 1 ? (levelNumbers(type, tensor)[0] as number) : Number.NaN;
  if (value > 0 && Number.isFinite(value)) {
    return {dtype: tensor.dtype, shape: tensor.shape, value, code: levelEntries(type, tensor)[0] as number};
  }
  throw new FileFormatError({
    where: `${module.module}.${name}`,
    expected: 'one positive finite number',
    received: sizeOf(tensor.shape) === 1 ? String(value) : `[${tensor.shape}]`,
  });
}

/** The tensor again. */
export function scalarTensor({dtype, shape, code}: StoredScalar): FileTensor {
  const array = dtype === 'F32' ? Float32Array.of(code) : dtype === 'F16' || dtype === 'BF16' ? Uint16Array.of(code) : Uint8Array.of(code);
  return fileTensor(dtype, shape, array);
}

/** Scales of a cache of keys and values, which Model Optimizer writes under k_proj and v_proj: no part of the product, but of the file. */
export const CACHE_SCALES: readonly string[] = ['k_scale', 'v_scale'];

/** Those of a module, for its origin's details; nothing where it has none. */
export function cacheScalesOf(module: Module): {cacheScales?: Readonly<Record<string, StoredScalar>>} {
  const found = CACHE_SCALES.flatMap((name) => {
    const scalar = scalarOf(module, name);
    return scalar === null ? [] : [[name, scalar] as const];
  });
  return found.length === 0 ? {} : {cacheScales: Object.fromEntries(found)};
}

/** The tensors again. */
export function raiseCacheScales(details: {readonly cacheScales?: unknown}, tensors: Map<string, FileTensor>): void {
  for (const [name, scalar] of Object.entries(details.cacheScales ?? {})) tensors.set(name, scalarTensor(scalar as StoredScalar));
}

/** Largest number of the type, or the divisor of int8 that compressed-tensors uses (half a step beyond 127). */
export const DIVISORS = {float8_e4m3fn: 448, int8: 127.5, float4_e2m1fn: 6} as const;

const GRANULARITIES: Readonly<Record<CompressedArgs['strategy'], InputScheme['granularity'] | null>> = {
  tensor: 'tensor',
  token: 'token',
  group: 'group',
  tensor_group: 'group',
  channel: null,
  block: null,
};

/**
 * The scheme of `input_activations`. `scale` is the static scale, or the global one of two-level groups.
 * Throws UnsupportedError for what InputScheme cannot say, and where a static scale is missing or one is there that nothing uses.
 */
export function schemeOf(where: string, args: CompressedArgs | null, scale: number | null, format: string): InputScheme | null {
  if (args === null) {
    if (scale === null) return null;
    throw new UnsupportedError({where, expected: 'input_activations in the config', received: 'an input scale and no input_activations'});
  }
  const dtype =
    args.type === 'int' ? (args.bits === 8 ? 'int8' : null) : args.bits === 8 ? 'float8_e4m3fn' : args.bits === 4 ? 'float4_e2m1fn' : null;
  const granularity = GRANULARITIES[args.strategy];
  if (dtype === null || granularity === null || !args.symmetric) {
    const received = `${args.type}${args.bits}, ${args.strategy}, symmetric ${args.symmetric}`;
    throw new UnsupportedError({
      where: `${where}: input_activations`,
      expected: 'symmetric int8, fp8 or fp4 by tensor, token or group',
      received,
    });
  }
  const group = granularity === 'group' ? {groupSize: args.groupSize ?? 128} : {};
  const divisor = DIVISORS[dtype];
  if (args.dynamic === 'local') {
    if (scale === null)
      throw new UnsupportedError({where: `${where}.input_global_scale`, expected: 'a global input scale', received: 'none'});
    return {dtype, origin: 'dynamic', granularity, ...group, divisor, globalScale: scale, scaleType: 'float8_e4m3fn'};
  }
  if (args.dynamic) {
    if (scale !== null) throw new UnsupportedError({where, expected: 'no input scale: it is dynamic', received: 'a static one'});
    return {dtype, origin: 'dynamic', granularity, ...group, divisor, ...(format.startsWith('mx') ? {scaleType: 'float8_e8m0fnu'} : {})};
  }
  if (granularity !== 'tensor' || scale === null) {
    const received = scale === null ? 'no input_scale' : `${args.strategy} scales`;
    throw new UnsupportedError({where: `${where}.input_scale`, expected: 'one static scale for the tensor', received});
  }
  return {dtype, origin: 'static', granularity, scale};
}
