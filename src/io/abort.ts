/** Waiting that an AbortSignal can cut short. */

/** Who waits on a signal. One listener of the signal serves all of them: Node takes more than ten on one signal for a leak, and says so. */
const waiting = new WeakMap<AbortSignal, Set<(reason: unknown) => void>>();

/** Calls `then` with the reason when the signal is aborted, unless what is returned was called before. */
function whenAborted(signal: AbortSignal, then: (reason: unknown) => void): () => void {
  const all = waiting.get(signal) ?? new Set();
  if (!waiting.has(signal)) {
    waiting.set(signal, all);
    const tell = (): void => {
      for (const one of [...all]) one(signal.reason);
    };
    signal.addEventListener('abort', tell, {once: true});
  }
  all.add(then);
  return () => {
    all.delete(then);
  };
}

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
    const forget = whenAborted(signal, reject);
    promise.then(resolve, reject).finally(forget);
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
  const forgets = [a, b].map((signal) => {
    if (signal.aborted) both.abort(signal.reason);
    return whenAborted(signal, (reason) => both.abort(reason));
  });
  return {
    signal: both.signal,
    release: () => {
      for (const forget of forgets) forget();
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
