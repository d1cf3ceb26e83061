/** What a decoder of the Llama family is made of, whichever file says it. */
import {type Checkpoint, MissingError, UnsupportedError} from 'tfjs-linear';
import {configFromGguf} from './config_gguf.js';
import {configFromJson} from './config_json.js';

export type Activation = 'silu' | 'gelu' | 'gelu_tanh' | 'relu';

/** How rotary angles are stretched beyond the trained context. */
export type RopeScaling =
  | {readonly kind: 'none'}
  | {readonly kind: 'linear'; readonly factor: number}
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    };

export interface LlamaConfig {
  readonly hiddenDim: number;
  readonly layerCount: number;
  readonly headCount: number;
  /** Heads of k and v; each serves headCount / keyHeadCount heads of q. */
  readonly keyHeadCount: number;
  readonly headDim: number;
  readonly feedForwardLength: number;
  /** Positions the model was made for. */
  readonly contextLength: number;
  readonly activation: Activation;
  readonly normEpsilon: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /** The output projection is the embedding. */
  readonly tiedEmbedding: boolean;
}

/** Throws UnsupportedError for an architecture or a setting that this decoder does not compute, MissingError where there is no config. */
export function configOf(checkpoint: Checkpoint): LlamaConfig {
  const {config} = checkpoint;
  if (config === null) {
    throw new MissingError({where: 'checkpoint', expected: 'a config.json beside the weights', received: 'none'});
  }
  const llama = checkpoint.container === 'gguf' ? configFromGguf(config, checkpoint.names()) : configFromJson(config);
  if (llama.headCount % llama.keyHeadCount === 0 && llama.headDim % 2 === 0) return llama;
  throw new UnsupportedError({
    where: 'model config',
    expected: 'an even head size, and heads of q in equal groups over those of k',
    received: `${llama.headCount} over ${llama.keyHeadCount} heads of ${llama.headDim}`,
  });
}

/** Typed reading of one record of settings, naming the file in its errors. */
export class Settings {
  constructor(
    private readonly values: Readonly<Record<string, unknown>>,
    readonly where: string,
  ) {}

  get(key: string): unknown {
    return this.values[key];
  }

  /** A finite number of at least 0; `fallback` where the key is absent or null. */
  number(key: string, fallback?: number): number {
    const raw = this.values[key] ?? fallback;
    const value = typeof raw === 'bigint' ? Number(raw) : raw;
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
    throw this.error(key, 'a number', raw);
  }

  /** A whole number of at least 1. */
  count(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (Number.isSafeInteger(value) && value >= 1) return value;
    throw this.error(key, 'a whole number of at least 1', value);
  }

  /** Refuses a setting that would change the numbers, unless it has one of the values that do not. */
  only(key: string, harmless: readonly unknown[]): void {
    const value = this.values[key] ?? null;
    if (value === null || harmless.includes(value)) return;
    throw this.error(key, harmless.length === 0 ? 'no value' : `${harmless.map(String).join(' or ')}`, value);
  }

  error(key: string, expected: string, received: unknown): UnsupportedError {
    const shown = typeof received === 'object' && received !== null ? JSON.stringify(received) : String(received);
    return new UnsupportedError({
      where: `${this.where}: ${key}`,
      expected,
      received: shown,
      why: 'This decoder computes plain Llama: without acting on the setting its numbers would be wrong.',
    });
  }
}
