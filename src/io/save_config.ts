/** The quantisation config of a file to write: the one its layers came with, entries for the others, or why they do not go together. */
import {methodOf} from '../config/quantization.js';
import {UnsupportedError} from '../errors.js';
import type {SchemeEntry} from '../formats/standard.js';

type Json = Readonly<Record<string, unknown>>;

export interface ConfigNeeds {
  /** Module prefix in the file. */
  readonly module: string;
  /** The config that the module's tensors were read with; undefined where it needs none. */
  readonly came: Json | null | undefined;
  /** The entry that it needs, or null. */
  readonly entry: SchemeEntry | null;
}

/** null where no module needs one. Throws UnsupportedError. */
export function configOfModules(modules: readonly ConfigNeeds[]): Json | null {
  const configs = new Map<string, {config: Json | null; module: string}>();
  for (const {came, module} of modules) if (came !== undefined) configs.set(JSON.stringify(came), {config: came, module});
  const [first, second] = [...configs.values()];
  if (second !== undefined) {
    throw new UnsupportedError({
      where: `saveSafetensors: '${second.module}'`,
      expected: `the quantisation config of '${first?.module}': a file has one`,
      received: 'a layer that was read with another',
      remedy: 'Save layers of different checkpoints to different files.',
    });
  }
  const came = first?.config ?? null;
  const entries = modules.filter((m): m is ConfigNeeds & {entry: SchemeEntry} => m.entry !== null);
  if (entries.length === 0) return came;
  if (came !== null && methodOf(came) !== 'compressed-tensors') {
    throw new UnsupportedError({
      where: `saveSafetensors: '${entries[0]?.module}'`,
      expected: `a layer of method '${methodOf(came)}', as '${first?.module}' is`,
      received: 'one that compressed-tensors has a layout for',
      remedy: 'Save the two kinds to different files.',
    });
  }
  return withEntries(came, entries);
}

/** Exact names come before classes and patterns wherever targets are matched, so new groups leave the old ones as they were. */
function withEntries(came: Json | null, entries: readonly (ConfigNeeds & {entry: SchemeEntry})[]): Json {
  const groups: Record<string, unknown> = {...(came?.config_groups as Json | undefined)};
  const mine = new Map<string, {entry: SchemeEntry; targets: string[]}>();
  for (const {module, entry} of entries) {
    const key = JSON.stringify(entry);
    const group = mine.get(key) ?? {entry, targets: []};
    group.targets.push(module);
    mine.set(key, group);
  }
  for (const {entry, targets} of mine.values()) groups[`group_${Object.keys(groups).length}`] = {...entry, targets};
  const formats = new Set(Object.values(groups).map((group) => (group as Json).format ?? came?.format));
  const format = formats.size === 1 ? [...formats][0] : 'mixed-precision';
  return {
    quant_method: 'compressed-tensors',
    quantization_status: 'compressed',
    ignore: [],
    ...came,
    format: came?.format ?? format,
    config_groups: groups,
  };
}
