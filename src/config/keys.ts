/** Keys of a checkpoint's quantisation config: which we act on, which change no number, and which are refused. */
import {ArgumentError, didYouMean, UnsupportedError} from '../errors.js';

export type Json = Readonly<Record<string, unknown>>;

export interface KnownKeys {
  /** Read by us. */
  readonly read: readonly string[];
  /** How the quantiser ran, or which kernel to run: no effect on what the stored numbers mean. */
  readonly harmless: readonly string[];
  /** Would change numbers in a way we do not do; only these values (or null) pass. */
  readonly only: Readonly<Record<string, readonly unknown[]>>;
}

/** Throws UnsupportedError for a key that changes numbers and that we do not act on, or that we do not know. */
export function checkKeys(where: string, config: Json, keys: KnownKeys): void {
  for (const [key, value] of Object.entries(config)) {
    if (value === null || value === undefined || keys.read.includes(key) || keys.harmless.includes(key)) continue;
    const allowed = keys.only[key];
    if (allowed?.some((a) => same(a, value))) continue;
    const expected = allowed === undefined ? 'a key we know' : `${allowed.map((a) => JSON.stringify(a)).join(' or ')}, or nothing`;
    const names = [...keys.read, ...keys.harmless, ...Object.keys(keys.only)];
    throw new UnsupportedError({
      where: `${where}.${key}`,
      expected,
      received: allowed === undefined ? `'${key}': ${JSON.stringify(value)}` : JSON.stringify(value),
      why:
        allowed === undefined
          ? 'A key that is not understood may change what the numbers mean.'
          : 'It changes the numbers, and we do not do it.',
      remedy: allowed === undefined ? didYouMean(key, names).trim() || 'Remove it if it has no effect on the weights.' : '',
    });
  }
}

/** Equal as JSON, or an object that has what the allowed one asks for; an empty one asks for an empty one. */
function same(allowed: unknown, value: unknown): boolean {
  if (JSON.stringify(allowed) === JSON.stringify(value)) return true;
  if (typeof allowed !== 'object' || allowed === null || typeof value !== 'object' || value === null) return false;
  const entries = Object.entries(allowed);
  return entries.length > 0 && entries.every(([key, wanted]) => same(wanted, (value as Json)[key]));
}

export function integerOf(where: string, config: Json, key: string): number | undefined {
  const value = config[key];
  if (value === undefined || value === null) return undefined;
  if (Number.isInteger(value)) return value as number;
  throw new ArgumentError({where: `${where}.${key}`, expected: 'an integer', received: JSON.stringify(value)});
}

export function booleanOf(where: string, config: Json, key: string): boolean | undefined {
  const value = config[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'boolean') return value;
  throw new ArgumentError({where: `${where}.${key}`, expected: 'true or false', received: JSON.stringify(value)});
}

export function stringOf(where: string, config: Json, key: string): string | undefined {
  const value = config[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  throw new ArgumentError({where: `${where}.${key}`, expected: 'a string', received: JSON.stringify(value)});
}

export function objectOf(where: string, value: unknown): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new ArgumentError({where, expected: 'an object', received: JSON.stringify(value)});
}

export function stringsOf(where: string, config: Json, key: string): readonly string[] {
  const value = config[key];
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value as string[];
  throw new ArgumentError({where: `${where}.${key}`, expected: 'a list of strings', received: JSON.stringify(value)});
}
