// https://github.com/huggingface/transformers.js/issues/1220: an interrupted download started over.
import {writeSafetensors} from '../../src/io/safetensors.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {firstDifference, ramp} from '../io/bytes_support.js';
import {type Answer, breakOff, rangeOf, serve} from '../io/file_server.js';

describe('huggingface/transformers.js#1220', () => {
  it('a tensor whose body breaks off is taken up after its last byte', async () => {
    const length = 4_000_000;
    const file = writeSafetensors([{name: 'a', dtype: 'U8', shape: [length], data: ramp(length)}]);
    let sent = 0;
    const breakOnce: Answer = (bytes, response, {range}, count) => {
      if (count !== 2) return false;
      const [first, last] = rangeOf(bytes, range);
      sent = 1_500_000;
      const headers = {'Content-Range': `bytes ${first}-${last}/${bytes.length}`, 'Content-Length': last - first + 1};
      breakOff(response, 206, headers, bytes.subarray(first, first + sent));
      return true;
    };
    const server = await serve({'/model.safetensors': file}, breakOnce);
    const loaded: number[] = [];
    const files = await openTensorFiles(`${server.origin}/model.safetensors`, {onProgress: (event) => loaded.push(event.loaded)});
    expect(firstDifference(await files.read('a'), ramp(length))).toBe(-1);
    await files.close();
    await server.close();
    const start = file.length - length;
    expect(server.asked.map(({range}) => range?.replace(/^bytes=(\d+)-.*/, '$1'))).toEqual(['0', `${start}`, jasmine.any(String)]);
    const resumed = Number(/^bytes=(\d+)-/.exec(server.asked[2]?.range ?? '')?.[1]) - start;
    // Nothing twice: from where the bytes that had arrived end, which progress had told already.
    expect(resumed).toBeGreaterThan(0);
    expect(resumed).toBeLessThanOrEqual(sent);
    expect(loaded).toContain(resumed);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
  });
});
