/** How a checkpoint was quantised, as a frozen record; and the encodings with their block sizes. */
import {checkBoolean, checkOptions} from '../arguments.js';
import {ArgumentError, didYouMean, UnsupportedError} from '../errors.js';
import {booleanOf, checkKeys, integerOf, type Json, type KnownKeys, objectOf, stringOf} from './keys.js';
import {AWQ_KEYS, COMPRESSED_KEYS, FBGEMM_KEYS, FP8_KEYS, GPTQ_KEYS, MODELOPT_KEYS} from './known_keys.js';

export interface QuantizationOptions {
  /** 'gptq', 'awq', 'compressed-tensors', 'fp8', 'fbgemm_fp8', 'modelopt'. */
  quantMethod: string;
  /** Bits of a code, 1 to 16. */
  bits: number;
  /** Inputs that share a scale; -1: all of them. */
  groupSize: number;
  /** Columns were quantised in order of activation size. Informative: the file's own group map decides. Default false. */
  descAct?: boolean;
  /** One constant zero point for all. Default false. */
  sym?: boolean;
}

/** The methods we read, each with the keys its config may have. */
export const METHODS: Readonly<Record<string, KnownKeys>> = {
  gptq: GPTQ_KEYS,
  awq: AWQ_KEYS,
  'compressed-tensors': COMPRESSED_KEYS,
  fp8: FP8_KEYS,
  fbgemm_fp8: FBGEMM_KEYS,
  modelopt: MODELOPT_KEYS,
};

const OPTION_NAMES = ['quantMethod', 'bits', 'groupSize', 'descAct', 'sym'];

/**
 * A frozen quantisation config. Source: `max.graph.quantization.QuantizationConfig`.
 *
 * ```js
 * const config = new tfl.QuantizationConfig({quantMethod: 'gptq', bits: 4, groupSize: 128});
 * config.sym; // false
 * ```
 */
export class QuantizationConfig {
  readonly quantMethod: string;
  readonly bits: number;
  readonly groupSize: number;
  readonly descAct: boolean;
  readonly sym: boolean;

  /** Throws ArgumentError for an unknown option or one out of range, UnsupportedError for an unknown method. */
  constructor(options: QuantizationOptions) {
    const where = 'QuantizationConfig';
    checkOptions(where, options, OPTION_NAMES);
    const {quantMethod, bits, groupSize, descAct = false, sym = false} = options;
    checkMethod(where, quantMethod);
    if (!Number.isInteger(bits) || bits < 1 || bits > 16) {
      throw new ArgumentError({where: `${where}.bits`, expected: 'an integer from 1 to 16', received: bits});
    }
    checkGroupSize(`${where}.groupSize`, groupSize);
    checkBoolean(`${where}.descAct`, descAct);
    checkBoolean(`${where}.sym`, sym);
    this.quantMethod = quantMethod;
    this.bits = bits;
    this.groupSize = groupSize;
    this.descAct = descAct;
    this.sym = sym;
    Object.freeze(this);
  }
}

function checkMethod(where: string, method: string): void {
  if (Object.hasOwn(METHODS, method)) return;
  const names = Object.keys(METHODS);
  throw new UnsupportedError({
    where: `${where}: quantisation method`,
    expected: `one of ${names.join(', ')}`,
    // Another method is not meant by a name that is merely short.
    received: `'${method}'.${didYouMean(
      method,
      names.filter((name) => name[0] === method?.[0]),
    )}`,
  });
}

/** Throws ArgumentError unless the group size is positive or -1. */
export function checkGroupSize(where: string, groupSize: number): void {
  if (Number.isInteger(groupSize) && (groupSize > 0 || groupSize === -1)) return;
  throw new ArgumentError({where, expected: 'a positive integer, or -1 for one group over all inputs', received: groupSize});
}

/** The method of a raw config: its quant_method, or what old files without one must be; null where there is no telling. */
export function methodOf(raw: Json | null): string | null {
  if (raw === null) return null;
  const named = raw.quant_method ?? raw.method;
  if (typeof named === 'string') return named.toLowerCase().replace(/^fbgemm$/, 'fbgemm_fp8');
  if (raw.w_bit !== undefined || raw.zero_point !== undefined) return 'awq';
  if (raw.config_groups !== undefined) return 'compressed-tensors';
  return raw.bits !== undefined && raw.group_size !== undefined ? 'gptq' : null;
}

const checked = new WeakSet<object>();

/**
 * Throws UnsupportedError for an unknown method, or for a key of the config that changes numbers and that we do not act on.
 * Cheap when repeated on the same object.
 */
export function checkQuantization(raw: Json, where = 'quantization_config'): string {
  const method = methodOf(raw);
  if (method === null) {
    const received = Object.keys(raw).join(', ') || 'an empty object';
    throw new UnsupportedError({where, expected: `quant_method: one of ${Object.keys(METHODS).join(', ')}`, received});
  }
  if (checked.has(raw)) return method;
  checkMethod(where, method);
  checkKeys(where, raw, METHODS[method] as KnownKeys);
  checked.add(raw);
  return method;
}

/**
 * `quantization_config` of a config.json, or quantize_config.json, as a record. Per-module overrides are resolved by
 * `moduleSettings` and, for config groups, `compressedScheme`; here the global values (of the first group).
 */
export function parseQuantizationConfig(raw: Json, where = 'quantization_config'): QuantizationConfig {
  const method = checkQuantization(raw, where);
  const sym = booleanOf(where, raw, 'sym');
  if (method === 'compressed-tensors') {
    const groups = Object.values(objectOf(`${where}.config_groups`, raw.config_groups ?? {}));
    const weights = objectOf(`${where}.config_groups`, (groups[0] as Json | undefined)?.weights ?? {});
    const block = weights.block_structure as readonly number[] | null | undefined;
    return new QuantizationConfig({
      quantMethod: method,
      bits: integerOf(where, weights, 'num_bits') ?? 8,
      groupSize: integerOf(where, weights, 'group_size') ?? block?.[1] ?? -1,
      descAct: weights.actorder === 'group',
      sym: booleanOf(where, weights, 'symmetric') ?? true,
    });
  }
  if (method === 'awq') {
    const zeroPoint = booleanOf(where, raw, 'zero_point') ?? true;
    return new QuantizationConfig({
      quantMethod: method,
      bits: integerOf(where, raw, 'bits') ?? integerOf(where, raw, 'w_bit') ?? 4,
      groupSize: integerOf(where, raw, 'group_size') ?? integerOf(where, raw, 'q_group_size') ?? 128,
      sym: !zeroPoint,
    });
  }
  const block = raw.weight_block_size as readonly number[] | null | undefined;
  const fallback = stringOf(where, raw, 'quant_algo')?.endsWith('NVFP4')
    ? {bits: 4, groupSize: 16}
    : {bits: 8, groupSize: block?.[1] ?? -1};
  return new QuantizationConfig({
    quantMethod: method,
    bits: integerOf(where, raw, 'bits') ?? fallback.bits,
    groupSize: integerOf(where, raw, 'group_size') ?? fallback.groupSize,
    descAct: booleanOf(where, raw, 'desc_act') ?? false,
    sym: sym ?? method !== 'gptq',
  });
}
