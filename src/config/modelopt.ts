/**
 * Configs of NVIDIA Model Optimizer (github.com/NVIDIA/Model-Optimizer, modelopt/torch/export): quant_utils.py writes hf_quant_config.json,
 * convert_hf_config.py says the same in config.json, with `ignore` for `exclude_modules`.
 */
import {UnsupportedError} from '../errors.js';
import {checkKeys, type Json, objectOf, stringsOf} from './keys.js';
import {notConverted} from './module_settings.js';
import {wildcard} from './patterns.js';
import {checkQuantization} from './quantization.js';

const FILE = 'hf_quant_config.json';

/** The file as config.json's quantization_config would say it. Throws UnsupportedError for a key that we do not know, ArgumentError for what is no config. */
export function modeloptConfig(raw: Json): Record<string, unknown> {
  checkKeys(FILE, raw, {read: ['producer', 'quantization'], harmless: [], only: {}});
  return {quant_method: 'modelopt', ...objectOf(`${FILE}: quantization`, raw.quantization)};
}

/** Throws UnsupportedError unless the config quantises this module, and as one of `algos` says. */
export function checkModelopt(raw: Json, module: string, algos: readonly string[]): void {
  const algo = String(raw.quant_algo);
  if (!algos.includes(algo)) {
    throw new UnsupportedError({
      where: `${module}: quant_algo`,
      expected: `${algos.join(' or ')}, as the tensors are`,
      received: `'${algo}'`,
    });
  }
  checkQuantization(raw);
  const entry = ['exclude_modules', 'ignore']
    .flatMap((key) => stringsOf('quantization_config', raw, key))
    .find((name) => (/[*?]/.test(name) ? wildcard(name).test(module) : notConverted([name], module) !== null));
  if (entry === undefined) return;
  throw new UnsupportedError({
    where: module,
    expected: `a plain weight: the config leaves this module unquantised ('${entry}')`,
    received: `tensors of ${algo}`,
  });
}
