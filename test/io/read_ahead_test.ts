import {ReadAhead} from '../../src/io/read_ahead.js';
import {firstDifference, ramp, rejection} from './bytes_support.js';

const BLOCK = 128 * 1024;
const BYTES = ramp(10 * BLOCK + 1000);

/** Over BYTES; `at` notes where reads began. */
function reader(fail: () => boolean = () => false): {ahead: ReadAhead; at: number[]} {
  const at: number[] = [];
  const fill = async (target: Uint8Array, position: number): Promise<number> => {
    at.push(position / BLOCK);
    if (fail()) throw new Error('not now');
    const part = BYTES.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  };
  return {ahead: new ReadAhead('file', BYTES.length, {fill}), at};
}

describe('Reading ahead', () => {
  it('gives the bytes, whichever are asked for', async () => {
    const {ahead} = reader();
    for (const [begin, end] of [
      [0, 10],
      [BLOCK - 3, BLOCK + 3],
      [5, 3 * BLOCK],
      [BYTES.length - 7, BYTES.length + 9],
      [BYTES.length, BYTES.length + 1],
    ] as const) {
      expect(firstDifference(await ahead.read(begin, end), BYTES.slice(begin, end)))
        .withContext(`${begin}`)
        .toBe(-1);
    }
  });

  it('gives pieces of whole rows, aligned, and tells how far it has come', async () => {
    const {ahead} = reader();
    for (const begin of [8, 13]) {
      const unit = 999;
      const end = begin + unit * 700;
      let position = begin;
      const heard: number[] = [];
      for await (const piece of ahead.pieces({begin, end, unit, onBytes: (n) => heard.push(n)})) {
        expect(piece.length % unit).toBe(0);
        expect(piece.byteOffset % 8)
          .withContext(`at ${position}`)
          .toBe(0);
        expect(firstDifference(piece, BYTES.slice(position, position + piece.length))).toBe(-1);
        position += piece.length;
      }
      expect(position).toBe(end);
      expect(heard[heard.length - 1]).toBe(end - begin);
    }
  });

  it('begins once reading goes forward, and reads no block twice', async () => {
    const {ahead, at} = reader();
    await ahead.read(5 * BLOCK, 5 * BLOCK + 1);
    expect(at).toEqual([5]);
    await ahead.read(0, 1);
    expect(at).toEqual([5, 0]);
    await ahead.read(BLOCK, BLOCK + 1);
    expect(at).toEqual([5, 0, 1, 2, 3]);
    await ahead.read(2 * BLOCK, 2 * BLOCK + 1);
    expect(at).toEqual([5, 0, 1, 2, 3, 4]);
    await ahead.read(3 * BLOCK, 3 * BLOCK + 1);
    // 5 is there already.
    expect(at).toEqual([5, 0, 1, 2, 3, 4]);
    for (const index of [4, 5, 6]) await ahead.read(index * BLOCK, index * BLOCK + 1);
    await ahead.read(BLOCK, BLOCK + 1);
    // Eight blocks are held: 8 came in place of 0, which was not used for longest; 1 is there still.
    expect(at).toEqual([5, 0, 1, 2, 3, 4, 6, 7, 8]);
    await ahead.read(0, 1);
    expect(at).toEqual([5, 0, 1, 2, 3, 4, 6, 7, 8, 0]);
  });

  it('keeps what it fetched where reading left a part, for when it comes back', async () => {
    const {ahead, at} = reader();
    for (const index of [0, 1]) await ahead.read(index * BLOCK, index * BLOCK + 1);
    expect(at).toEqual([0, 1, 2, 3]);
    // Elsewhere more blocks than are held.
    for (const index of [5, 6, 7, 8, 9, 10]) await ahead.read(index * BLOCK, index * BLOCK + 1);
    const before = at.length;
    for (const index of [1, 2, 3]) await ahead.read(index * BLOCK, index * BLOCK + 1);
    expect(at.slice(before)).not.toContain(1);
    expect(at.slice(before)).not.toContain(2);
    expect(at.slice(before)).not.toContain(3);
  });

  it('does not begin again where a block left long ago is read once more', async () => {
    const {ahead, at} = reader();
    for (const index of [0, 1, 2]) await ahead.read(index * BLOCK, index * BLOCK + 1);
    expect(at).toEqual([0, 1, 2, 3, 4]);
    await ahead.read(7 * BLOCK, 7 * BLOCK + 1);
    // Norms of all layers in block 1, the matrices elsewhere.
    for (const index of [1, 8, 1, 9]) await ahead.read(index * BLOCK, index * BLOCK + 1);
    expect(at).toEqual([0, 1, 2, 3, 4, 7, 8, 9, 10]);
  });

  it('tries again after a failure, and ends with its signal', async () => {
    let failures = 1;
    const {ahead} = reader(() => failures-- > 0);
    expect((await rejection(ahead.read(0, 4))).message).toBe('not now');
    expect(await ahead.read(0, 4)).toEqual(BYTES.slice(0, 4));
    const abort = new AbortController();
    const pieces = ahead.pieces({begin: 0, end: 3 * BLOCK, unit: 1, signal: abort.signal});
    await pieces.next();
    abort.abort(new Error('enough'));
    expect((await rejection(pieces.next())).message).toBe('enough');
  });
});
