/** Reading a long range piece by piece, so that progress is heard, an abort is honoured, and no single call is too long for the platform. */
import {allocate} from './bytes.js';

/** Large enough that the cost of a call is nothing, small enough that a progress bar moves. */
const CHUNK_BYTES = 16 * 2 ** 20;

/** Fills all of `target`, as far as the file goes. → bytes */
export async function fillFrom(
  readAt: (target: Uint8Array, position: number) => Promise<number>,
  target: Uint8Array,
  position: number,
): Promise<number> {
  let filled = 0;
  for (let got = 1; got > 0 && filled < target.length; filled += got) got = await readAt(target.subarray(filled), position + filled);
  return filled;
}

/** `readAt` fills the given part of the result from file position `position` and returns how many bytes there were, 0 at the end of the file. */
export async function readChunked(
  name: string,
  begin: number,
  end: number,
  readAt: (target: Uint8Array, position: number) => Promise<number>,
  signal: AbortSignal | undefined,
  onBytes: ((received: number) => void) | undefined,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const bytes = allocate(name, end - begin);
  let filled = 0;
  while (filled < bytes.length) {
    const got = await readAt(bytes.subarray(filled, Math.min(filled + CHUNK_BYTES, bytes.length)), begin + filled);
    signal?.throwIfAborted();
    if (got === 0) break;
    filled += got;
    onBytes?.(filled);
  }
  return filled === bytes.length ? bytes : bytes.slice(0, filled);
}

/** Long enough for a read on another thread, short enough that an abort is honoured. */
const PART_BYTES = 4 * 2 ** 20;

/** All of `target` by reads of its parts, two at a time: most of the time goes into touching fresh memory, which the platform's threads can share. → bytes */
export async function fillByTwos(
  readPart: (target: Uint8Array, position: number) => Promise<number>,
  target: Uint8Array,
  begin: number,
  signal: AbortSignal | undefined,
  onBytes: ((received: number) => void) | undefined,
): Promise<number> {
  let next = 0;
  let filled = 0;
  const reader = async (): Promise<void> => {
    while (next < target.length) {
      signal?.throwIfAborted();
      const at = next;
      next += PART_BYTES;
      const got = await readPart(target.subarray(at, next), begin + at);
      filled += got;
      onBytes?.(filled);
    }
    signal?.throwIfAborted();
  };
  await Promise.all([reader(), reader()]);
  return filled;
}
