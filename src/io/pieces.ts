/** A long range in pieces, the next one on its way while one is used: what holds a large tensor never holds it twice. */
import {allocate} from './bytes.js';
import type {Pieces} from './source.js';

/** Pieces: small enough for a processor's caches and, two at a time, for a sixteenth of the range; large enough that a read costs little. */
const PIECE_BYTES = 2 * 2 ** 20;
const PIECES = 32;

function sizeOf({begin, end, unit}: Pieces): number {
  return unit * Math.max(1, Math.floor(Math.min(PIECE_BYTES, (end - begin) / PIECES) / unit));
}

/** `fetchPiece` gives bytes [begin, end), fewer only at the end of the file. */
export async function* inPieces(
  range: Pieces,
  fetchPiece: (begin: number, end: number) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const {begin, end, signal, onBytes} = range;
  const size = sizeOf(range);
  const fetchAt = (at: number): Promise<Uint8Array> => {
    const piece = fetchPiece(at, Math.min(at + size, end));
    // Its failure is heard when its turn comes, if it comes.
    piece.catch(() => {});
    return piece;
  };
  let next = begin < end ? fetchAt(begin) : null;
  for (let at = begin; next !== null; ) {
    signal?.throwIfAborted();
    const piece: Uint8Array = await next;
    signal?.throwIfAborted();
    const expected = Math.min(size, end - at);
    at += piece.length;
    next = piece.length === expected && at < end ? fetchAt(at) : null;
    if (piece.length > 0) onBytes?.(at - begin);
    yield piece;
  }
}

/** The same from bytes that come in order, in whatever chunks. */
export async function* piecesOf(
  name: string,
  range: Pieces,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const {begin, end, onBytes} = range;
  const buffer = allocate(name, Math.min(sizeOf(range), end - begin));
  let filled = 0;
  let received = 0;
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.length; ) {
      const part = chunk.subarray(from, from + buffer.length - filled);
      buffer.set(part, filled);
      filled += part.length;
      from += part.length;
      if (filled < buffer.length) continue;
      received += filled;
      onBytes?.(received);
      yield buffer;
      filled = 0;
    }
  }
  if (filled === 0) return;
  onBytes?.(received + filled);
  yield buffer.subarray(0, filled);
}
