/**
 * Layer configs through tf.js's save format, which rewrites every string and key (camelCase to snake_case and back: 'float8_e4m3fn' comes back
 * as 'float8E4m3fn') except a string under the key `name`. What must come back as it was rides there, as JSON.
 */
import type * as tf from '@tensorflow/tfjs';

/** The config for `getConfig`: the constructor's arguments to read, and the same as JSON to load from. */
export function toSavedConfig(config: object): tf.serialization.ConfigDict {
  return {...config, saved: {name: JSON.stringify(config)}} as unknown as tf.serialization.ConfigDict;
}

/** The constructor's arguments from a saved config, or the config itself where it never went through a file. */
export function fromSavedConfig<T extends object>(config: tf.serialization.ConfigDict): T {
  const {saved, ...plain} = config;
  const text = (saved as {name?: unknown} | undefined)?.name;
  return (typeof text === 'string' ? JSON.parse(text) : plain) as T;
}
