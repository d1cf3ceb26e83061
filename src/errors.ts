/**
 * Typed errors. Each says where, what was expected, what was received, why and what to do, and keeps those
 * five as fields so that a program can act on them.
 */

/** The parts of an error. Where `why` or `remedy` is left out, the class has one. */
export interface ErrorParts {
  /** The layer, tensor, file or option. */
  where: string;
  expected: string;
  /** Shown as text. */
  received: unknown;
  why?: string;
  remedy?: string;
}

/**
 * Base of every error this package throws.
 *
 * ```js
 * try {
 *   new tfl.Linear({inDim: 2, outDim: 2, name: 'up', clipWeight: -1});
 * } catch (error) {
 *   error.where; // "up: clipWeight"
 *   error.received; // "-1"
 * }
 * ```
 */
export class TfjsLinearError extends Error {
  /** `why` and `remedy` of an error of this class that has no better ones. */
  static readonly why: string = 'It was not understood.';
  static readonly remedy: string = 'Correct what is named.';
  // Said again by each class: a minifier renames classes, and programs compare this name.
  override readonly name: string = 'TfjsLinearError';
  readonly where: string;
  readonly expected: string;
  readonly received: string;
  readonly why: string;
  readonly remedy: string;

  constructor(parts: ErrorParts, options?: ErrorOptions) {
    const received = shown(parts.received).replace(/(?<!\.)\.$/, '') || 'nothing';
    const tail = [parts.why, parts.remedy].filter(Boolean).join(' ') || new.target.remedy;
    super(`${parts.where}: expected ${parts.expected}. Received: ${received}${received.endsWith('?') ? '' : '.'} ${tail}`, options);
    this.where = parts.where;
    this.expected = parts.expected;
    this.received = received;
    this.why = parts.why || new.target.why;
    this.remedy = parts.remedy || new.target.remedy;
  }
}

/**
 * An argument or option outside its documented range.
 *
 * ```js
 * try {
 *   new tfl.MLP({hiddenDim: 2, feedForwardLength: 2, devices: []});
 * } catch (error) {
 *   error.name; // "ArgumentError"
 * }
 * ```
 */
export class ArgumentError extends TfjsLinearError {
  static override readonly why: string = 'Nothing stands for a value outside its range, and a guess would change the numbers.';
  static override readonly remedy: string = 'Correct the argument or option that is named.';
  override readonly name: string = 'ArgumentError';
}

/**
 * A tensor, scale or weight whose shape does not fit.
 *
 * ```js
 * try {
 *   new tfl.Linear({inDim: 2, outDim: 1}).forward(tf.ones([1, 3]));
 * } catch (error) {
 *   error.name; // "ShapeError"
 *   error.received; // "[1,3]"
 * }
 * ```
 */
export class ShapeError extends TfjsLinearError {
  static override readonly why: string = 'Shapes that do not fit belong to other weights, or to other axes.';
  static override readonly remedy: string = 'Pass it in the shape that is expected.';
  override readonly name: string = 'ShapeError';
}

/**
 * A quantisation config, state dict or checkpoint that asks for what we do not do, or contradicts itself.
 *
 * ```js
 * try {
 *   new tfl.MLP({hiddenDim: 2, feedForwardLength: 2}).setSharding(tfl.ShardingStrategy.rowwise(2));
 * } catch (error) {
 *   error.name; // "UnsupportedError"
 *   error.expected; // "tensorParallel or replicate"
 * }
 * ```
 */
export class UnsupportedError extends TfjsLinearError {
  static override readonly why: string = 'Read in another way its numbers would be quietly wrong.';
  static override readonly remedy: string = 'docs/limits.md says what is read; save the model in such a form.';
  override readonly name: string = 'UnsupportedError';
}

/**
 * A file that will never be valid: retrying cannot help.
 *
 * ```js
 * try {
 *   await tfl.openCheckpoint({'model.safetensors': new Uint8Array(4)});
 * } catch (error) {
 *   error.name; // "FileFormatError"
 * }
 * ```
 */
export class FileFormatError extends TfjsLinearError {
  static override readonly why: string = 'Numbers read from a file like this would be wrong.';
  static override readonly remedy: string = 'Fetch or write the file again.';
  override readonly name: string = 'FileFormatError';
}

/**
 * A source that could not be read now; the same call may work later.
 *
 * ```js
 * const error = new tfl.SourceError({where: 'model.safetensors', expected: 'bytes 0 to 99', received: 'status 503'});
 * error.message; // "model.safetensors: expected bytes 0 to 99. Received: status 503. Check the path or address, then try again."
 * ```
 */
export class SourceError extends TfjsLinearError {
  static override readonly why: string = 'Without its bytes nothing can be read.';
  static override readonly remedy: string = 'Check the path or address, then try again.';
  override readonly name: string = 'SourceError';
}

/**
 * A tensor or module that the checkpoint or state dict does not hold.
 *
 * ```js
 * try {
 *   new tfl.Linear({inDim: 2, outDim: 1}).loadStateDict({});
 * } catch (error) {
 *   error.name; // "MissingError"
 * }
 * ```
 */
export class MissingError extends TfjsLinearError {
  static override readonly why: string = 'Nothing can stand in for it.';
  static override readonly remedy: string = 'Check the name against those that are there.';
  override readonly name: string = 'MissingError';
}

/**
 * Tensors present that nothing reads: numbers would be wrong, so loading stops.
 *
 * ```js
 * try {
 *   new tfl.Linear({inDim: 2, outDim: 1}).loadStateDict({weight: tf.ones([1, 2]), scale: tf.ones([1])});
 * } catch (error) {
 *   error.name; // "UnusedTensorError"
 *   error.received; // "scale"
 * }
 * ```
 */
export class UnusedTensorError extends TfjsLinearError {
  static override readonly why: string = 'What nothing reads may be part of the numbers.';
  static override readonly remedy: string = 'Leave it out if it has no effect.';
  override readonly name: string = 'UnusedTensorError';
}

/**
 * A device that is absent, lost, out of memory or computes wrongly.
 *
 * ```js
 * try {
 *   new tfl.Linear({inDim: 2, outDim: 1, device: 'nowhere'});
 * } catch (error) {
 *   error.name; // "DeviceError"
 * }
 * ```
 */
export class DeviceError extends TfjsLinearError {
  static override readonly why: string = 'Work for one device is not moved to another unasked.';
  static override readonly remedy: string = 'Choose a device that is there: listDevices() names them.';
  override readonly name: string = 'DeviceError';
}

/**
 * A device that holds shards and failed during a call. `device` is its name; what it held is gone.
 *
 * ```js
 * const error = new tfl.DeviceLostError('webgpu:1', 'the GPU was reset');
 * error.device; // "webgpu:1"
 * error instanceof tfl.DeviceError; // true
 * ```
 */
export class DeviceLostError extends DeviceError {
  override readonly name: string = 'DeviceLostError';

  constructor(
    readonly device: string,
    cause: unknown,
  ) {
    super(
      {
        where: `device '${device}'`,
        expected: 'a live device',
        received: cause instanceof Error ? cause.message : cause,
        why: 'The shards on it are gone.',
        remedy: `Call 'await manager.evict("${device}")' and try again.`,
      },
      {cause},
    );
  }
}

/**
 * The nearest of `names` to `name`, as ` Did you mean 'x'?`, or an empty string.
 *
 * ```js
 * tfl.didYouMean('groupsize', ['bits', 'groupSize']); // " Did you mean 'groupSize'?"
 * ```
 */
export function didYouMean(name: string, names: Iterable<string>): string {
  if (typeof name !== 'string') return '';
  let best: string | undefined;
  // Of three letters or fewer two may not differ: any short name would be near any other.
  let bestDistance = Math.max(name.length < 4 ? 1 : 2, Math.floor(name.length / 3)) + 1;
  for (const candidate of names ?? []) {
    if (typeof candidate !== 'string' || candidate === '') continue;
    const d = editDistance(name, candidate, bestDistance);
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best === undefined ? '' : ` Did you mean '${best}'?`;
}

/** Any value as text. A tensor's own shows its numbers, which a device may not give at once, and not every object has one. */
function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'dataId' in value) return `a tensor [${(value as {shape?: unknown}).shape}]`;
  try {
    return String(value);
  } catch {
    return 'an object';
  }
}

/** Levenshtein distance, given up (returning `limit`) once it cannot be below `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({length: b.length + 1}, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] as number;
}
