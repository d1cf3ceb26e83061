/** The Hugging Face hub: addresses of its files, and the download of one. */
import {SourceError} from 'tfjs-linear';

/** A hub that does not answer in this time counts as one that cannot be reached. */
const ANSWER_MS = 8000;
/** A download in which nothing comes for this long has failed. */
const STALL_MS = 30_000;

/** owner/name, or owner/name/file inside the repository. */
const REPOSITORY = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:\/(.+))?$/;

/** The URL that a repository, or a file in one, has on the hub; null for what is not written like one. */
export function repositoryUrl(text: string): string | null {
  const [, repository, file] = REPOSITORY.exec(text) ?? [];
  return repository === undefined ? null : hubUrl(repository, file);
}

/** URL of a repository's folder, or of one file in it. The hub's own HF_ENDPOINT names a mirror. */
export function hubUrl(repository: string, file = '', revision = 'main'): string {
  const base = (typeof process === 'undefined' ? '' : process.env.HF_ENDPOINT) || 'https://huggingface.co';
  return `${base.replace(/\/+$/, '')}/${repository}/resolve/${revision}/${file}`;
}

/**
 * The file's bytes, piece by piece.
 * Throws SourceError where the hub cannot be reached, answers with an error, or stops sending; the signal's reason on abort.
 */
export async function* download(url: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const watch = new AbortController();
  const both = AbortSignal.any([signal, watch.signal]);
  let timer = setTimeout(() => watch.abort(new Error(`no answer in ${ANSWER_MS / 1000} s`)), ANSWER_MS);
  try {
    const response = await fetch(url, {signal: both});
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw new SourceError({where: url, expected: 'the file', received: `status ${response.status}`});
    }
    for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
      clearTimeout(timer);
      timer = setTimeout(() => watch.abort(new Error(`nothing came for ${STALL_MS / 1000} s`)), STALL_MS);
      yield piece;
    }
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof SourceError) throw cause;
    throw new SourceError({where: url, expected: 'the file', received: reasonOf(cause)}, {cause});
  } finally {
    clearTimeout(timer);
  }
}

/** fetch says only 'fetch failed' and hides the reason in the cause. */
function reasonOf(error: unknown): string {
  const {message, cause} = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message || (cause as NodeJS.ErrnoException).code}` : message;
}
