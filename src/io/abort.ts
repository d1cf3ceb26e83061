/** Waiting that an AbortSignal can cut short. */

/** Resolves with `promise`, or rejects with the signal's reason as soon as it is aborted; `promise` itself goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    if (signal.aborted) {
      // What `promise` comes to is nobody's concern any more.
      promise.catch(() => {});
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, {once: true});
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  return abortable(wait, signal).finally(() => clearTimeout(timer));
}

/** A signal that is aborted as soon as either of the two is, until it is released. */
export function eitherOf(a: AbortSignal, b: AbortSignal | undefined): {signal: AbortSignal; release(): void} {
  if (b === undefined) return {signal: a, release: () => {}};
  const both = new AbortController();
  const onAbort = (event: Event): void => both.abort((event.target as AbortSignal).reason);
  for (const signal of [a, b]) {
    if (signal.aborted) both.abort(signal.reason);
    signal.addEventListener('abort', onAbort);
  }
  return {
    signal: both.signal,
    release: () => {
      for (const signal of [a, b]) signal.removeEventListener('abort', onAbort);
    },
  };
}

/** Runs `use` with such a signal. */
export async function withEither<T>(a: AbortSignal, b: AbortSignal | undefined, use: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const either = eitherOf(a, b);
  try {
    return await use(either.signal);
  } finally {
    either.release();
  }
}
