import {MissingError} from '../../src/errors.js';
import {writeSafetensors} from '../../src/io/safetensors.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {bytesOf, ramp, rejection} from './bytes_support.js';
import {type Answer, type FileServer, serve} from './file_server.js';

describe('a folder behind a URL', () => {
  const weights = writeSafetensors([{name: 'a', dtype: 'U8', shape: [3], data: ramp(3)}]);
  let server: FileServer;
  afterEach(() => server.close());

  it('is asked for the usual names, with the query of its own URL', async () => {
    server = await serve({'/m/model.safetensors': weights, '/m/config.json': bytesOf('{"x":1}')});
    for (const path of ['/m', '/m/', '/m?token=t']) {
      server.asked.length = 0;
      const files = await openTensorFiles(`${server.origin}${path}#part`);
      expect(await files.json('config.json')).toEqual({x: 1});
      expect(await files.json('quantize_config.json')).toBeNull();
      expect(await files.json('quantize_config.json')).toBeNull();
      expect(await files.read('a')).toEqual(ramp(3));
      await files.close();
      const query = path.includes('?') ? '?token=t' : '';
      const names = ['model.safetensors.index.json', 'model.safetensors', 'config.json', 'quantize_config.json'];
      expect(server.asked.map(({url}) => url)).toEqual(names.map((name) => `/m/${name}${query}`));
    }
  });

  it('is found by its index', async () => {
    const index = bytesOf(JSON.stringify({weight_map: {a: 'part 1.safetensors'}}));
    server = await serve({'/m/model.safetensors.index.json': index, '/m/part 1.safetensors': weights});
    const files = await openTensorFiles(new URL(`${server.origin}/m`));
    expect(await files.read('a')).toEqual(ramp(3));
    // What is asked for beside it costs no round trip.
    const names = ['model.safetensors.index.json', 'model.safetensors', 'config.json', 'part%201.safetensors'];
    expect(server.asked.map(({url}) => url)).toEqual(names.map((name) => `/m/${name}`));
  });

  it('without a checkpoint is refused with the names that were tried', async () => {
    server = await serve({'/m/pytorch_model.bin': ramp(8)});
    const error = await rejection(openTensorFiles(`${server.origin}/m`));
    expect(error).toBeInstanceOf(MissingError);
    expect(error.message).toMatch(/model\.safetensors\.index\.json or model\.safetensors.*\/resolve\/main/);
  });

  it('of a server that answers every path with a page is as good as empty', async () => {
    const page: Answer = (file, response) => {
      if (file.length > 0) return false;
      response.writeHead(200, {'Content-Type': 'text/html'}).end('<html></html>');
      return true;
    };
    const nothing = new Uint8Array(0);
    server = await serve({'/m/model.safetensors.index.json': nothing, '/m/model.safetensors': weights, '/m/config.json': nothing}, page);
    const files = await openTensorFiles(`${server.origin}/m`);
    expect(files.names()).toEqual(['a']);
    expect(await files.json('config.json')).toBeNull();
  });

  it('of one file is looked into, but what is forbidden there is taken as absent', async () => {
    const forbid: Answer = (_, response, {url}) => {
      if (!url.includes('quantize')) return false;
      response.writeHead(403).end();
      return true;
    };
    server = await serve(
      {'/m/x.safetensors': weights, '/m/config.json': bytesOf('{"x":1}'), '/m/quantize_config.json': bytesOf('{}')},
      forbid,
    );
    const files = await openTensorFiles(`${server.origin}/m/x.safetensors?signature=s`);
    expect(await files.json('config.json')).toEqual({x: 1});
    expect(await files.json('quantize_config.json')).toBeNull();
    const folder = await openTensorFiles(`${server.origin}/m/x.safetensors`);
    await folder.close();
    await server.close();
    server = await serve({'/m/model.safetensors': weights, '/m/quantize_config.json': bytesOf('{}')}, forbid);
    const whole = await openTensorFiles(`${server.origin}/m`);
    expect((await rejection(whole.json('quantize_config.json'))).message).toMatch(/HTTP 403/);
  });
});
