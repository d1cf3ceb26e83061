/** The JSON files beside safetensors that say what the tensors mean. */
import {modeloptConfig} from '../config/modelopt.js';
import {FileFormatError} from '../errors.js';
import type {TensorFiles} from './tensor_files.js';

type Json = Record<string, unknown>;

export interface Configs {
  /** Parsed config.json, or null. */
  readonly config: Json | null;
  /** How weights are quantised, or null. */
  readonly quantization: Json | null;
}

/** Inside config.json, else in a file of its own: of the GPTQ and AWQ families, or of Model Optimizer. */
export async function readConfigs(files: TensorFiles): Promise<Configs> {
  const config = asRecord(await files.json('config.json'), 'config.json');
  const inside = asRecord(config?.quantization_config ?? config?.compression_config, 'config.json: quantization_config');
  if (inside !== null) return {config, quantization: inside};
  const names = ['quantize_config.json', 'hf_quant_config.json'] as const;
  const [own, modelopt] = await Promise.all(names.map(async (name) => asRecord(await files.json(name), name)));
  return {config, quantization: own ?? (modelopt ? modeloptConfig(modelopt) : null)};
}

/** A JSON object; null for none. Throws FileFormatError for anything else: what it means cannot be known. */
function asRecord(value: unknown, where: string): Json | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'object' && !Array.isArray(value)) return value as Json;
  throw new FileFormatError({where, expected: 'an object', received: JSON.stringify(value).slice(0, 60)});
}
