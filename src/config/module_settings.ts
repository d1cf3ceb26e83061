/** Settings of one module in a config with global values and per-module overrides (the GPTQ and AWQ families). */
import {UnsupportedError} from '../errors.js';
import {booleanOf, checkKeys, integerOf, type Json, objectOf, stringOf, stringsOf} from './keys.js';
import {OVERRIDE_KEYS} from './known_keys.js';
import {matchesPattern} from './patterns.js';
import {checkGroupSize, checkQuantization} from './quantization.js';

export interface ModuleSettings {
  /** undefined: the config does not say. */
  readonly bits: number | undefined;
  /** -1: one group over all inputs. */
  readonly groupSize: number | undefined;
  readonly sym: boolean | undefined;
  readonly descAct: boolean | undefined;
  /** checkpoint_format, alias format, in lower case. */
  readonly checkpointFormat: string | undefined;
  /** The rule by which this module is not quantised, or null. */
  readonly excludedBy: string | null;
  /** Every `dynamic` pattern that matches, in file order: the first one is used, more than one is a tie. */
  readonly matched: readonly string[];
}

const WHERE = 'quantization_config';

/**
 * @param raw the config as in the file. `dynamic` maps patterns (Python regular expressions from the start of the name; '-:' in
 *   front excludes, '+:' is optional) to overrides: the first pattern in file order wins, as in GPTQModel.
 * Throws UnsupportedError for keys, also inside an override, that we do not know.
 */
export function moduleSettings(raw: Json, module: string): ModuleSettings {
  checkQuantization(raw, WHERE);
  const bits = integerOf(WHERE, raw, 'bits') ?? integerOf(WHERE, raw, 'w_bit');
  const groupSize = integerOf(WHERE, raw, 'group_size') ?? integerOf(WHERE, raw, 'q_group_size');
  const zeroPoint = booleanOf(WHERE, raw, 'zero_point');
  const sym = booleanOf(WHERE, raw, 'sym') ?? (zeroPoint === undefined ? undefined : !zeroPoint);
  const {override, excludedBy, matched} = dynamicOf(raw, module);
  const at = `${WHERE}.dynamic['${matched[0]}']`;
  const settings: ModuleSettings = {
    bits: integerOf(at, override, 'bits') ?? bits,
    groupSize: integerOf(at, override, 'group_size') ?? groupSize,
    sym: booleanOf(at, override, 'sym') ?? sym,
    descAct: booleanOf(at, override, 'desc_act') ?? booleanOf(WHERE, raw, 'desc_act'),
    checkpointFormat: checkpointFormatOf(raw),
    excludedBy: excludedBy ?? notConverted(stringsOf(WHERE, raw, 'modules_to_not_convert'), module),
    matched,
  };
  if (settings.groupSize !== undefined) checkGroupSize(`${module}: group_size`, settings.groupSize);
  return settings;
}

function dynamicOf(raw: Json, module: string): {override: Json; excludedBy: string | null; matched: string[]} {
  const matched: string[] = [];
  let override: Json | null = null;
  let excludedBy: string | null = null;
  for (const [pattern, value] of Object.entries(objectOf(`${WHERE}.dynamic`, raw.dynamic ?? {}))) {
    const where = `${WHERE}.dynamic['${pattern}']`;
    const negative = pattern.startsWith('-:');
    // A negative entry has nothing to override; its value is an empty object.
    const entry = objectOf(where, value ?? {});
    checkKeys(where, entry, OVERRIDE_KEYS);
    if (!matchesPattern(pattern.replace(/^[-+]:/, ''), module, where)) continue;
    matched.push(pattern);
    if (matched.length > 1) continue;
    override = negative ? {} : entry;
    if (negative) excludedBy = `dynamic '${pattern}'`;
  }
  return {override: override ?? {}, excludedBy, matched};
}

function checkpointFormatOf(raw: Json): string | undefined {
  const named = [stringOf(WHERE, raw, 'checkpoint_format'), stringOf(WHERE, raw, 'format')].filter((s) => s !== undefined);
  const [first, second] = named.map((s) => s.toLowerCase());
  if (second !== undefined && second !== first) {
    throw new UnsupportedError({where: WHERE, expected: 'format and checkpoint_format to agree', received: named.join(' and ')});
  }
  return first;
}

/** The entry of a list of module names that covers this module: itself, a parent, or a part of the path, as transformers reads it. */
export function notConverted(list: readonly string[], module: string): string | null {
  const path = `.${module}.`;
  const entry = list.find((name) => path.includes(`.${name}.`));
  return entry === undefined ? null : `modules_to_not_convert '${entry}'`;
}
