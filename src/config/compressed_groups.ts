/** compressed-tensors' config_groups: which scheme a module follows. */
import {UnsupportedError} from '../errors.js';
import {booleanOf, checkKeys, integerOf, type Json, objectOf, stringOf, stringsOf} from './keys.js';
import {COMPRESSED_ARGS_KEYS, COMPRESSED_GROUP_KEYS} from './known_keys.js';
import {matchesPattern} from './patterns.js';
import {checkQuantization} from './quantization.js';

export interface CompressedArgs {
  readonly bits: number;
  readonly type: 'int' | 'float';
  readonly strategy: 'tensor' | 'channel' | 'group' | 'block' | 'token' | 'tensor_group';
  readonly groupSize: number | undefined;
  /** [rows, columns] */
  readonly block: readonly [number, number] | undefined;
  readonly symmetric: boolean;
  /** 'local': a dynamic scale under a static global one. */
  readonly dynamic: boolean | 'local';
}

export interface CompressedScheme {
  /** The format on disk, such as 'pack-quantized'. */
  readonly format: string;
  readonly weights: CompressedArgs;
  readonly input: CompressedArgs | null;
  /** Every target that matches, best first: exact names, then 're:' patterns, then classes, each in file order. Only the first counts. */
  readonly matched: readonly string[];
}

const WHERE = 'quantization_config';
const STRATEGIES = ['tensor', 'channel', 'group', 'block', 'token', 'tensor_group'] as const;

/**
 * The scheme of a module, or the rule by which it is not quantised. Class targets such as 'Linear' match every module: whether
 * it is quantised is then for its tensors to say.
 * Throws UnsupportedError for keys we do not know.
 */
export function compressedScheme(raw: Json, module: string): CompressedScheme | {readonly excludedBy: string} {
  checkQuantization(raw, WHERE);
  const ignored = stringsOf(WHERE, raw, 'ignore').find((target) => rank(target, module) < 2);
  if (ignored !== undefined) return {excludedBy: `ignore '${ignored}'`};
  const found: {rank: number; target: string; group: Json; where: string}[] = [];
  for (const [name, value] of Object.entries(objectOf(`${WHERE}.config_groups`, raw.config_groups ?? {}))) {
    const where = `${WHERE}.config_groups.${name}`;
    const group = objectOf(where, value);
    checkKeys(where, group, COMPRESSED_GROUP_KEYS);
    for (const target of stringsOf(where, group, 'targets')) {
      const r = rank(target, module);
      if (r < 3) found.push({rank: r, target, group, where});
    }
  }
  found.sort((a, b) => a.rank - b.rank);
  const [best] = found;
  if (best === undefined) return {excludedBy: 'no target of config_groups'};
  const {group, where} = best;
  const input = group.input_activations ?? null;
  return {
    format: stringOf(where, group, 'format') ?? stringOf(WHERE, raw, 'format') ?? '',
    weights: argsOf(`${where}.weights`, group.weights),
    input: input === null ? null : argsOf(`${where}.input_activations`, input),
    matched: found.map((f) => f.target),
  };
}

/** 0: exact name, 1: pattern, 2: class name, 3: no match. */
function rank(target: string, module: string): number {
  if (target === module) return 0;
  if (target.startsWith('re:')) return matchesPattern(target.slice(3), module, WHERE) ? 1 : 3;
  // A class has no dot and a capital: 'Linear'. Other names are of other modules.
  return /^[A-Z]\w*$/.test(target) ? 2 : 3;
}

function argsOf(where: string, value: unknown): CompressedArgs {
  const args = objectOf(where, value);
  checkKeys(where, args, COMPRESSED_ARGS_KEYS);
  const type = stringOf(where, args, 'type') ?? 'int';
  const bits = integerOf(where, args, 'num_bits') ?? 8;
  const groupSize = integerOf(where, args, 'group_size');
  const strategy = stringOf(where, args, 'strategy') ?? (groupSize === undefined ? 'tensor' : groupSize === -1 ? 'channel' : 'group');
  const known = STRATEGIES.find((s) => s === strategy);
  if (known === undefined || (type !== 'int' && type !== 'float')) {
    throw new UnsupportedError({
      where,
      expected: `type int or float, and strategy ${STRATEGIES.join(', ')}`,
      received: `type '${type}', strategy '${strategy}'`,
    });
  }
  const dynamic = args.dynamic === 'local' ? 'local' : (booleanOf(where, args, 'dynamic') ?? false);
  return {
    bits,
    type,
    strategy: known,
    groupSize: groupSize === -1 ? undefined : groupSize,
    block: blockOf(where, args.block_structure),
    symmetric: booleanOf(where, args, 'symmetric') ?? true,
    dynamic,
  };
}

/** [128, 128] or '128x128' (older files). */
function blockOf(where: string, value: unknown): readonly [number, number] | undefined {
  if (value === undefined || value === null) return undefined;
  const sizes = typeof value === 'string' ? value.split('x').map(Number) : value;
  if (Array.isArray(sizes) && sizes.length === 2 && sizes.every((s) => Number.isInteger(s) && s > 0)) return sizes as [number, number];
  throw new UnsupportedError({where: `${where}.block_structure`, expected: '[rows, columns]', received: JSON.stringify(value)});
}
