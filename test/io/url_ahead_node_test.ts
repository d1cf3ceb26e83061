/** A file behind a URL that is read through: blocks are fetched ahead, so that a module costs no round trip of its own. */
import {UrlSource} from '../../src/io/url_source.js';
import {firstDifference, ramp} from './bytes_support.js';
import {serve} from './file_server.js';

describe('A file behind a URL that is read through', () => {
  it('is fetched in few requests, and gives its bytes', async () => {
    const bytes = ramp(12 * 2 ** 20);
    const server = await serve({'/m': bytes});
    const source = new UrlSource(`${server.origin}/m`, 'm');
    const step = 100_000;
    for (let at = 0; at < bytes.length; at += step) {
      expect(firstDifference(await source.read(at, at + step), bytes.subarray(at, at + step))).toBe(-1);
    }
    // 126 reads.
    expect(server.asked.length).toBeLessThan(40);
    const pieces = source.pieces({begin: 8, end: 3_000_008, unit: 1000});
    let position = 8;
    for await (const piece of pieces) {
      expect(firstDifference(piece, bytes.subarray(position, position + piece.length))).toBe(-1);
      position += piece.length;
    }
    expect(position).toBe(3_000_008);
    await source.close();
    await server.close();
  });
});
