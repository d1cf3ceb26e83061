// https://github.com/huggingface/transformers.js/issues/1663: with a progress callback files were fetched twice, once for their sizes.
import type {ProgressEvent} from '../../src/io/progress.js';
import {writeSafetensors} from '../../src/io/safetensors.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {bytesOf, firstDifference, ramp} from '../io/bytes_support.js';
import {serve} from '../io/file_server.js';

describe('huggingface/transformers.js#1663', () => {
  it('the requests are the same with a progress callback and without', async () => {
    const tensor = (name: string) => ({name, dtype: 'U8' as const, shape: [500_000], data: ramp(500_000)});
    const index = {weight_map: {a: 'm-1.safetensors', b: 'm-1.safetensors', c: 'm-2.safetensors'}};
    const server = await serve({
      '/m/model.safetensors.index.json': bytesOf(JSON.stringify(index)),
      '/m/m-1.safetensors': writeSafetensors([tensor('a'), tensor('b')]),
      '/m/m-2.safetensors': writeSafetensors([tensor('c')]),
      '/m/config.json': bytesOf('{}'),
    });
    const requests: string[][] = [];
    const events: ProgressEvent[] = [];
    for (const onProgress of [undefined, (event: ProgressEvent) => void events.push(event)]) {
      server.asked.length = 0;
      const files = await openTensorFiles(`${server.origin}/m`, {onProgress});
      await files.json('config.json');
      await files.json('quantize_config.json');
      for (const name of files.names()) expect(firstDifference(await files.read(name), ramp(500_000))).toBe(-1);
      await files.close();
      requests.push(server.asked.map(({url, range}) => `${url} ${range}`).sort());
    }
    await server.close();
    expect(requests[1]).toEqual(requests[0]!);
    expect(requests[0]!.filter((request) => request.startsWith('/m/m-1')).length).toBe(3);
    expect(events.at(-1)).toEqual({file: 'm-2.safetensors', loaded: 1_500_000, total: 1_500_000, done: true});
  });
});
