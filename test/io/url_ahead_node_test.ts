/** A file behind a URL that is read through: blocks are fetched ahead, so that a module costs no round trip of its own. */
import {UrlSource} from '../../src/io/url_source.js';
import {firstDifference, ramp, rejection} from './bytes_support.js';
import {breakOff, type FileServer, rangeOf, serve} from './file_server.js';

const MEBIBYTE = 2 ** 20;
const STEP = 100_000;

/** Reads [begin, end) in steps and compares. */
async function readThrough(source: UrlSource, bytes: Uint8Array, begin: number, end: number): Promise<void> {
  for (let at = begin; at < end; at += STEP) {
    const stop = Math.min(end, at + STEP);
    expect(firstDifference(await source.read(at, stop), bytes.subarray(at, stop)))
      .withContext(`at ${at}`)
      .toBe(-1);
  }
}

describe('A file behind a URL that is read through', () => {
  const bytes = ramp(24 * MEBIBYTE);
  let server: FileServer;
  afterEach(() => server.close());

  it('is fetched in few requests, and gives its bytes', async () => {
    server = await serve({'/m': bytes});
    const source = new UrlSource(`${server.origin}/m`, 'm');
    await readThrough(source, bytes, 0, bytes.length);
    // 252 reads: a few blocks until they tell, and a body of all that follows.
    expect(server.asked.length).toBeLessThan(12);
    expect(server.asked.at(-1)?.range).toMatch(new RegExp(`-${bytes.length - 1}$`));
    const pieces = source.pieces({begin: 8, end: 3_000_008, unit: 1000});
    let position = 8;
    for await (const piece of pieces) {
      expect(firstDifference(piece, bytes.subarray(position, position + piece.length))).toBe(-1);
      position += piece.length;
    }
    expect(position).toBe(3_000_008);
    await source.close();
  });

  it('may be read through in two parts at a time, and from another place on', async () => {
    server = await serve({'/m': bytes});
    const source = new UrlSource(`${server.origin}/m`, 'm');
    await readThrough(source, bytes, 0, 3 * MEBIBYTE);
    const before = server.asked.length;
    const far = 12 * MEBIBYTE;
    // Up to 7: once bytes from 9.5 on have come, as two blocks ahead may, the first part asks for the rest of the file, the other part's bytes too.
    for (let at = 3 * MEBIBYTE; at < 7 * MEBIBYTE; at += 2 * STEP) {
      await readThrough(source, bytes, at, at + 2 * STEP);
      await readThrough(source, bytes, far + at, far + at + STEP);
    }
    // Each part goes on in bodies of its own: no byte comes twice, but of the block that a part begins with.
    const ranges = server.asked.slice(before).map(({range}) => rangeOf(bytes, range));
    expect(ranges.length).toBeLessThan(5);
    const inOrder = [...ranges].sort(([a], [b]) => a - b);
    for (let i = 1; i < inOrder.length; i++) expect(inOrder[i]![0]).toBeGreaterThan(inOrder[i - 1]![1]);
    await readThrough(source, bytes, 7 * MEBIBYTE, 11 * MEBIBYTE);
    const soFar = server.asked.length;
    await readThrough(source, bytes, 12 * MEBIBYTE, 13 * MEBIBYTE);
    // A short gap is read over: nothing begins there.
    const begun = server.asked.slice(soFar).map(({range}) => rangeOf(bytes, range)[0]);
    expect(begun.filter((first) => first < 13 * MEBIBYTE)).toEqual([]);
    await source.close();
  });

  it('is asked for piece by piece at first: what a reader leaves is little', async () => {
    server = await serve({'/m': bytes});
    const source = new UrlSource(`${server.origin}/m`, 'm');
    for await (const piece of source.pieces({begin: 0, end: 8 * MEBIBYTE, unit: 1000})) expect(piece.length % 8).toBe(0);
    // The first block, a body of what is read, and perhaps one that is begun for what may follow.
    const asked = server.asked.map(({range}) => rangeOf(bytes, range)[1] + 1);
    expect(asked.slice(0, 2)).toEqual([262_144, 8 * MEBIBYTE]);
    expect(asked.length).toBeLessThan(4);
    // A short read elsewhere takes a block.
    const before = server.asked.length;
    const at = 20 * MEBIBYTE;
    await source.read(at, at + 10);
    const later = server.asked.slice(before).map(({range}) => rangeOf(bytes, range));
    const elsewhere = later.filter(([first, last]) => last - first < MEBIBYTE);
    expect(elsewhere.length).toBe(1);
    const [[first, last]] = elsewhere as [[number, number]];
    expect([first <= at, last >= at + 9]).toEqual([true, true]);
    await source.close();
  });

  it('is taken up where its body breaks off', async () => {
    let broken = 0;
    server = await serve({'/m': bytes}, (file, response, {range}) => {
      const [first, last] = rangeOf(file, range);
      if (last < file.length - 1 || broken++ > 0) return false;
      const headers = {'Content-Range': `bytes ${first}-${last}/${file.length}`, 'Content-Length': last - first + 1};
      breakOff(response, 206, headers, file.subarray(first, first + 5_000_000));
      return true;
    });
    const source = new UrlSource(`${server.origin}/m`, 'm');
    await readThrough(source, bytes, 0, bytes.length);
    expect(broken).toBeGreaterThan(1);
    await source.close();
  });

  it('is refused where it changed, and once it is closed', async () => {
    server = await serve({'/m': bytes}, (file, response, {range}) => {
      const [first, last] = rangeOf(file, range);
      const headers = {'Content-Range': `bytes ${first}-${last}/${file.length}`, ETag: last === file.length - 1 ? '"two"' : '"one"'};
      response.writeHead(206, headers).end(file.subarray(first, last + 1));
      return true;
    });
    const source = new UrlSource(`${server.origin}/m`, 'm');
    expect((await rejection(readThrough(source, bytes, 0, bytes.length))).message).toMatch(/"one".*"two"/);
    await source.close();
    expect((await rejection(source.read(6 * MEBIBYTE, 6 * MEBIBYTE + 1))).message).toContain('closed');
  });

  it('is read the same where the platform reads no streams of bytes', async () => {
    const {getReader} = ReadableStream.prototype;
    const modes: (string | undefined)[] = [];
    spyOn(ReadableStream.prototype, 'getReader').and.callFake(function (this: ReadableStream, options?: {mode?: string}) {
      modes.push(options?.mode);
      if (options?.mode === 'byob') throw new TypeError('not a stream of bytes');
      return getReader.call(this) as never;
    } as never);
    server = await serve({'/m': bytes});
    const source = new UrlSource(`${server.origin}/m`, 'm');
    await readThrough(source, bytes, 0, 6 * MEBIBYTE);
    expect(new Set(modes)).toEqual(new Set(['byob', undefined]));
    await source.close();
  });
});
