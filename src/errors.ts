/**
 * Typed errors. Each says where, what was expected, what was received, why and what to do, and keeps those
 * five as fields so that a program can act on them.
 */

/** The parts of an error. `why` and `remedy` may be left out where they would only repeat the rest. */
export interface ErrorParts {
  /** The layer, tensor, file or option. */
  where: string;
  expected: string;
  received: string;
  why?: string;
  remedy?: string;
}

/** Base of every error this package throws. */
export class TfjsLinearError extends Error {
  // Said again by each class: a minifier renames classes, and programs compare this name.
  override readonly name: string = 'TfjsLinearError';
  readonly where: string;
  readonly expected: string;
  readonly received: string;
  readonly why: string | undefined;
  readonly remedy: string | undefined;

  constructor(parts: ErrorParts, options?: ErrorOptions) {
    const tail = [parts.why, parts.remedy].filter((s) => s !== undefined && s !== '').join(' ');
    super(`${parts.where}: expected ${parts.expected}. Received: ${parts.received}.${tail ? ` ${tail}` : ''}`, options);
    this.where = parts.where;
    this.expected = parts.expected;
    this.received = parts.received;
    this.why = parts.why;
    this.remedy = parts.remedy;
  }
}

/** An argument or option outside its documented range. */
export class ArgumentError extends TfjsLinearError {
  override readonly name: string = 'ArgumentError';
}

/** A tensor, scale or weight whose shape does not fit. */
export class ShapeError extends TfjsLinearError {
  override readonly name: string = 'ShapeError';
}

/** A quantisation config, state dict or checkpoint that asks for what we do not do, or contradicts itself. */
export class UnsupportedError extends TfjsLinearError {
  override readonly name: string = 'UnsupportedError';
}

/** A file that will never be valid: retrying cannot help. */
export class FileFormatError extends TfjsLinearError {
  override readonly name: string = 'FileFormatError';
}

/** A source that could not be read now; the same call may work later. */
export class SourceError extends TfjsLinearError {
  override readonly name: string = 'SourceError';
}

/** A tensor or module that the checkpoint or state dict does not hold. */
export class MissingError extends TfjsLinearError {
  override readonly name: string = 'MissingError';
}

/** Tensors present that nothing reads: numbers would be wrong, so loading stops. */
export class UnusedTensorError extends TfjsLinearError {
  override readonly name: string = 'UnusedTensorError';
}

/** A device that is absent, lost, out of memory or computes wrongly. */
export class DeviceError extends TfjsLinearError {
  override readonly name: string = 'DeviceError';
}

/** A device that holds shards and failed during a call. `device` is its name; what it held is gone. */
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
        received: cause instanceof Error ? cause.message : String(cause),
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
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of names) {
    const d = editDistance(name, candidate, bestDistance);
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best === undefined ? '' : ` Did you mean '${best}'?`;
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
