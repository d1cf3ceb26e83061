/**
 * Layer configs through tf.js's save format, which rewrites every string and key (camelCase to snake_case and back: 'float8_e4m3fn' comes back
 * as 'float8E4m3fn') except a string under the key `name`. What must come back as it was rides there, as JSON.
 */
import * as tf from '@tensorflow/tfjs';
import {ArgumentError, UnsupportedError} from '../errors.js';

/** A checkpoint's quantisation config can be long (hundreds of module names), and every projection of an MLP came with it. */
const SHARED = 'quantization';

interface Saved {
  readonly config: Record<string, unknown>;
  /** What stands under the key `quantization` anywhere inside, by its index there. */
  readonly shared: readonly unknown[];
}

/**
 * The config for `getConfig`: the constructor's arguments to read, and the same as JSON to load from. Where a record came from (`origin`) is in the
 * JSON only, and a checkpoint's config in it once.
 */
export function toSavedConfig(config: object): tf.serialization.ConfigDict {
  const shared: unknown[] = [];
  const places = new Map<string, number>();
  const text = JSON.stringify(config, (key, value: unknown) => {
    if (key !== SHARED || typeof value !== 'object' || value === null) return value;
    const own = JSON.stringify(value);
    const at = places.get(own) ?? shared.push(value) - 1;
    places.set(own, at);
    return at;
  });
  const saved = {name: JSON.stringify({config: JSON.parse(text), shared} satisfies Saved)};
  return {...withoutOrigin(config), saved} as unknown as tf.serialization.ConfigDict;
}

function withoutOrigin(config: object): object {
  const {origin: _origin, children, ...rest} = config as {origin?: unknown; children?: Readonly<Record<string, object>>};
  if (children === undefined) return rest;
  return {...rest, children: Object.fromEntries(Object.entries(children).map(([name, child]) => [name, withoutOrigin(child)]))};
}

/**
 * The constructor's arguments from a saved config, or the config itself where it never went through a file. An argument that was changed since
 * `getConfig` (`fromConfig(Linear, {...layer.getConfig(), name: 'copy'})`) keeps the change. Throws ArgumentError for what is no config.
 */
export function fromSavedConfig<T extends object>(config: tf.serialization.ConfigDict): T {
  if (typeof config !== 'object' || config === null) {
    throw new ArgumentError({
      where: 'fromConfig',
      expected: 'a class and what its getConfig returned',
      received: config,
      remedy: 'Name the class twice, as in tf.js: Linear.fromConfig(Linear, layer.getConfig()).',
    });
  }
  const {saved, ...plain} = config;
  const text = (saved as {name?: unknown} | undefined)?.name;
  if (typeof text !== 'string') return plain as T;
  const {shared} = JSON.parse(text) as Saved;
  const {config: exact} = JSON.parse(text, (key, value: unknown) =>
    key === SHARED && typeof value === 'number' ? shared[value] : value,
  ) as Saved;
  const same = withoutOrigin(exact) as Record<string, unknown>;
  for (const [key, value] of Object.entries(plain)) {
    if (key !== 'customObjects' && fileForm(value) !== fileForm(same[key])) exact[key] = value;
  }
  return exact as T;
}

/** A value as text that a trip through a file does not change: no case, no underscores, and no difference between null and nothing. */
function fileForm(value: unknown): string {
  const text = JSON.stringify({value}, (_key, v: unknown) => v ?? undefined);
  return text.replace(/_/g, '').toLowerCase();
}

type Class = {className: string; name: string};

/** The name that a class is registered under. Throws UnsupportedError where a saved model would come back with another class. */
export function registeredName(cls: object, where: string): string {
  const {className, name} = cls as Class;
  if (classMap()[className]?.[0] === cls) return className;
  throw new UnsupportedError({
    where,
    expected: 'a class registered under its own className',
    received: `${name} with className '${className}'`,
    why: 'A saved model would come back with another class.',
    remedy: "Give it a 'static className' and call tf.serialization.registerClass.",
  });
}

/** The class registered under this name. Throws UnsupportedError where there is none. */
export function registeredClass(name: string, where: string): object {
  const cls = classMap()[name]?.[0];
  if (cls !== undefined) return cls;
  throw new UnsupportedError({
    where,
    expected: 'a registered class',
    received: `'${name}'`,
    remedy: 'Call tf.serialization.registerClass(...) before loading.',
  });
}

function classMap(): Record<string, readonly object[] | undefined> {
  return tf.serialization.SerializationMap.getMap().classNameMap;
}
