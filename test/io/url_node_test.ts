import {gzipSync} from 'node:zlib';
import {MissingError, SourceError} from '../../src/errors.js';
import {openFileSet} from '../../src/io/source.js';
import {RemoteFile} from '../../src/io/url_request.js';
import {firstDifference, ramp, rejection} from './bytes_support.js';
import {type Answer, breakOff, type FileServer, rangeOf, sendRange, serve} from './file_server.js';

const LENGTH = 3_000_000;
const FILE = ramp(LENGTH);
const KIB = 1024;

const wholeBody: Answer = (file, response) => {
  response.writeHead(200, {'Content-Length': file.length}).end(file);
  return true;
};

describe('a file behind a URL', () => {
  let server: FileServer;
  const start = async (answer?: Answer, file = FILE): Promise<string> => {
    server = await serve({'/f.gguf': file}, answer);
    return `${server.origin}/f.gguf`;
  };
  const open = async (answer?: Answer, file?: Uint8Array) => (await openFileSet(await start(answer, file))).open('f.gguf');
  const ranges = () => server.asked.map(({range}) => range);
  afterEach(() => server.close());

  it('is read by ranges, small ones through blocks of 256 KiB', async () => {
    const source = await open();
    expect(source.size).toBeNull();
    expect(firstDifference(await source.read(10, 20), FILE.slice(10, 20))).toBe(-1);
    expect(source.size).toBe(LENGTH);
    expect(firstDifference(await source.read(100_000, 200_000), FILE.slice(100_000, 200_000))).toBe(-1);
    expect(firstDifference(await source.read(262_140, 262_150), FILE.slice(262_140, 262_150))).toBe(-1);
    expect(firstDifference(await source.read(300_000, 300_001), FILE.slice(300_000, 300_001))).toBe(-1);
    const received: number[] = [];
    const large = await source.read(200_000, 1_200_000, undefined, (bytes) => received.push(bytes));
    expect(firstDifference(large, FILE.slice(200_000, 1_200_000))).toBe(-1);
    expect(received.at(-1)).toBe(1_000_000);
    expect(received).toEqual([...received].sort((a, b) => a - b));
    expect(ranges()).toEqual(['bytes=0-262143', 'bytes=262144-524287', 'bytes=200000-1199999']);
  });

  it('ends where the file ends', async () => {
    const source = await open();
    expect(firstDifference(await source.read(LENGTH - 3, LENGTH + 5), FILE.slice(-3))).toBe(-1);
    expect(await source.read(LENGTH, LENGTH + 5)).toEqual(new Uint8Array(0));
    expect(firstDifference(await source.read(LENGTH - 500_000, LENGTH + 5), FILE.slice(-500_000))).toBe(-1);
    await server.close();
    const empty = await open(undefined, new Uint8Array(0));
    expect(await empty.read(0, 10)).toEqual(new Uint8Array(0));
    expect(empty.size).toBe(0);
  });

  it('asks once for a block that several readers want', async () => {
    const source = await open();
    const parts = await Promise.all(Array.from({length: 20}, (_, i) => source.read(500_000 + i, 500_010 + i)));
    parts.forEach((bytes, i) => expect(bytes).toEqual(FILE.slice(500_000 + i, 500_010 + i)));
    expect(ranges()).toEqual(['bytes=0-262143', 'bytes=262144-524287']);
  });

  it('is read once where the server does not know ranges, in any order', async () => {
    const source = await open(wholeBody);
    expect(firstDifference(await source.read(0, 8), FILE.slice(0, 8))).toBe(-1);
    expect(source.size).toBe(LENGTH);
    const [b, a] = await Promise.all([source.read(2_000_000, 2_500_000), source.read(1_000_000, 1_900_000)]);
    expect(firstDifference(a, FILE.slice(1_000_000, 1_900_000))).toBe(-1);
    expect(firstDifference(b, FILE.slice(2_000_000, 2_500_000))).toBe(-1);
    expect(firstDifference(await source.read(2_999_990, 3_000_010), FILE.slice(-10))).toBe(-1);
    expect(server.asked.length).toBe(1);
    // Released and asked for again: the body has to come again.
    source.release?.(0, LENGTH);
    expect(firstDifference(await source.read(1_500_000, 1_500_100), FILE.slice(1_500_000, 1_500_100))).toBe(-1);
    expect(server.asked.length).toBe(2);
  });

  it('keeps a block of a whole body until all of it is released', async () => {
    const source = await open(wholeBody);
    await source.read(0, LENGTH);
    source.release?.(100, 1024 * KIB);
    source.release?.(1024 * KIB, 2048 * KIB);
    expect(firstDifference(await source.read(0, 1000), FILE.slice(0, 1000))).toBe(-1);
    expect(server.asked.length).toBe(1);
    source.release?.(0, 100);
    expect(firstDifference(await source.read(0, 1000), FILE.slice(0, 1000))).toBe(-1);
    expect(server.asked.length).toBe(2);
  });

  it('may come compressed, and then has no known size', async () => {
    const zipped = gzipSync(FILE);
    const source = await open((_, response) => {
      response.writeHead(200, {'Content-Length': zipped.length, 'Content-Encoding': 'gzip'}).end(zipped);
      return true;
    });
    expect(firstDifference(await source.read(10, 20), FILE.slice(10, 20))).toBe(-1);
    expect(source.size).toBeNull();
    expect(firstDifference(await source.read(2_000_000, LENGTH + 1), FILE.slice(2_000_000))).toBe(-1);
    expect(source.size).toBe(LENGTH);
  });

  it('is refused where a part of its compressed form comes for a part of it', async () => {
    const zipped = gzipSync(FILE);
    const source = await open((_, response, {range}) => {
      sendRange(zipped, response, range, {'Content-Encoding': 'gzip'});
      return true;
    });
    const error = await rejection(source.read(0, 10));
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toMatch(/gzip form.*compression/);
    expect(server.asked.length).toBe(1);
  });

  it('is refused where other bytes come than were asked for', async () => {
    const source = await open((file, response, {range}, count) => {
      if (count < 2) return false;
      const [first, last] = rangeOf(file, range);
      const shifted = `bytes ${first + 1}-${last + 1}/${file.length}`;
      response.writeHead(206, {'Content-Range': shifted}).end(file.subarray(first + 1, last + 2));
      return true;
    });
    await source.read(0, 10);
    expect((await rejection(source.read(1_000_000, 2_000_000))).message).toMatch(/bytes from 1000000\. Received: bytes from 1000001/);
  });

  it('is refused where it changed between two requests', async () => {
    const source = await open((file, response, {range}, count) => {
      sendRange(file, response, range, {ETag: count < 3 ? '"one"' : '"two"'});
      return true;
    });
    await source.read(0, 10);
    await source.read(1_000_000, 1_000_010);
    const error = await rejection(source.read(2_000_000, 2_000_010));
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toMatch(/"one".*"two".*open it again/);
  });

  it('is taken up where a body broke off', async () => {
    const source = await open((file, response, {range}, count) => {
      const [first, last] = rangeOf(file, range);
      if (count % 2 === 1 || last - first < 400_000) return false;
      const headers = {'Content-Range': `bytes ${first}-${last}/${file.length}`, 'Content-Length': last - first + 1};
      breakOff(response, 206, headers, file.subarray(first, first + 300_000));
      return true;
    });
    await source.read(0, 10);
    const received: number[] = [];
    expect(
      firstDifference(await source.read(500_000, 1_500_000, undefined, (bytes) => received.push(bytes)), FILE.slice(500_000, 1_500_000)),
    ).toBe(-1);
    expect(received).toEqual([...new Set(received)].sort((a, b) => a - b));
    expect(ranges().slice(0, 2)).toEqual(['bytes=0-262143', 'bytes=500000-1499999']);
    expect(server.asked.length).toBe(3);
    const resumed = Number(/bytes=(\d+)-1499999/.exec(ranges()[2] ?? '')?.[1]);
    expect(received).toContain(resumed - 500_000);
  });

  it('is taken up where a whole body broke off, by a server that sends it from its beginning again', async () => {
    const source = await open((file, response, _, count) => {
      if (count > 1) return wholeBody(file, response, _, count);
      breakOff(response, 200, {'Content-Length': file.length}, file.subarray(0, 1_000_000));
      return true;
    });
    expect(firstDifference(await source.read(500_000, 2_500_000), FILE.slice(500_000, 2_500_000))).toBe(-1);
    expect(server.asked.length).toBe(2);
    expect(Number(/^bytes=(\d+)-$/.exec(ranges()[1] ?? '')?.[1])).toBeGreaterThan(0);
  });

  it('is tried again while the server is busy, and given up in the end', async () => {
    const url = await start((_, response, __, count) => {
      if (count > 2) return false;
      response.writeHead(503).end();
      return true;
    });
    const remote = new RemoteFile(url, 'f.gguf', 1);
    expect((await remote.bytes(0, 10).next()).value).toEqual(FILE.slice(0, 10));
    expect(server.asked.length).toBe(3);
    await server.close();
    const dead = new RemoteFile(
      await start((_, response) => {
        response.writeHead(503).end();
        return true;
      }),
      'f.gguf',
      1,
    );
    const error = await rejection(dead.bytes(0, 10).next());
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toMatch(/6 failed requests.*HTTP 503/);
    expect(server.asked.length).toBe(6);
  });

  it('is given up soon where nothing answers', async () => {
    const url = await start();
    await server.close();
    const error = await rejection(new RemoteFile(url, 'f.gguf', 1).bytes(0, 10).next());
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toMatch(/3 failed requests.*ECONNREFUSED/);
  });

  it('that is absent or forbidden is not asked for twice', async () => {
    for (const [status, kind] of [
      [404, MissingError],
      [410, MissingError],
      [403, SourceError],
    ] as const) {
      const source = await open((_, response) => {
        response.writeHead(status).end();
        return true;
      });
      const error = await rejection(source.read(0, 10));
      expect(error).toBeInstanceOf(kind);
      expect(error.message).toContain(`HTTP ${status}`);
      expect(server.asked.length).toBe(1);
      await server.close();
    }
  });

  it('is left alone once the signal is aborted, in mid-body and between tries', async () => {
    const reason = new Error('enough');
    for (const midBody of [true, false]) {
      const controller = new AbortController();
      const source = await open((file, response, {range}, count) => {
        if (count === 1) return false;
        const [first, last] = rangeOf(file, range);
        setTimeout(() => controller.abort(reason), 50);
        if (midBody)
          response.writeHead(206, {'Content-Range': `bytes ${first}-${last}/${file.length}`}).write(file.subarray(first, first + 1000));
        else response.writeHead(503).end();
        return true;
      });
      await source.read(0, 10);
      expect(await rejection(source.read(500_000, 1_500_000, controller.signal))).toBe(reason);
      expect(server.asked.length).toBe(2);
      // Others go on.
      expect(firstDifference(await source.read(5, 8), FILE.slice(5, 8))).toBe(-1);
      await server.close();
    }
  });

  it('ends pending reads when it is closed', async () => {
    const source = await open((_, response, __, count) => {
      if (count > 1) response.writeHead(206);
      return count > 1;
    });
    await source.read(0, 10);
    const pending = rejection(source.read(500_000, 1_500_000));
    await source.close();
    expect((await pending).message).toContain('closed');
  });
});
