/** A model of large layers behind a URL: small tensors that lie behind a large one in the file. */
import type {Lowered} from '../../src/formats/format.js';
import {type Checkpoint, openCheckpoint} from '../../src/index.js';
import {readSafetensorsHeader} from '../../src/io/safetensors.js';
import {type LoadingModel, loadingModels} from '../grid/loading_models.js';
import {jsonBytes} from '../support/files.js';
import {rejection} from './bytes_support.js';
import {type Answer, type FileServer, rangeOf, serve} from './file_server.js';

/** First byte of a tensor in a safetensors file. */
async function positionOf(bytes: Uint8Array, name: string): Promise<number> {
  const source = {name: 'm', size: bytes.length, read: async (a: number, b: number) => bytes.slice(a, b), close: async () => {}};
  return (await readSafetensorsHeader(source)).tensors.get(name)!.begin;
}

describe('Large layers behind a URL', () => {
  // 3.3 MB of codes in each, then zeros, scales and groups.
  const [model] = loadingModels(2560, 6) as [LoadingModel];
  const bytes = model.bytes();
  const files = {'/m/model.safetensors': bytes, '/m/config.json': jsonBytes(model.config)};
  const modules = model.modules;
  const last = modules.length - 1;
  let server: FileServer;
  let checkpoint: Checkpoint;
  afterEach(async () => {
    await checkpoint.close();
    await server.close();
  });

  async function open(answer?: Answer, served: Record<string, Uint8Array> = files): Promise<void> {
    server = await serve(served, answer);
    checkpoint = await openCheckpoint(`${server.origin}/m`);
  }

  const withConfig = (more: object) => {
    const {quantization_config: quantization, ...config} = model.config as {quantization_config: object};
    return {...files, '/m/config.json': jsonBytes({...config, quantization_config: {...quantization, ...more}})};
  };

  async function expected(module: string): Promise<Lowered> {
    const whole = await openCheckpoint({'model.safetensors': bytes, 'config.json': jsonBytes(model.config)});
    return whole.lower(module);
  }

  /** Requests for all that follows a place in the file, and not only for its last bytes. */
  const onward = () =>
    server.asked.map(({range}) => rangeOf(bytes, range)).filter(([a, b]) => b === bytes.length - 1 && b - a > 2 ** 20).length;

  for (const [sym, what] of [
    [true, 'with what lies behind each'],
    [false, 'what is small asked for while the layer before is read'],
  ] as const) {
    it(`are read in one body, ${what}`, async () => {
      await open(undefined, withConfig({sym}));
      for (const [i, module] of modules.entries()) {
        const before = server.asked.length;
        const {words} = await checkpoint.lower(module);
        if (i === last) expect(server.asked.length).toBe(before);
        const wanted = (await expected(module)).words;
        expect(words.findIndex((word, j) => word !== wanted[j]))
          .withContext(module)
          .toBe(-1);
      }
      expect(onward()).toBe(1);
      const zeros = await positionOf(bytes, `${modules[last - 1]}.qzeros`);
      const short = server.asked.map(({range}) => rangeOf(bytes, range)).filter(([a, b]) => b - a < 2 ** 20);
      // Of a symmetric model they are only checked: nobody waits for them.
      expect(short.some(([a, b]) => a <= zeros && b >= zeros)).toBe(!sym);
    });
  }

  it('are refused for what lies behind their codes, which another try may bring', async () => {
    const scales = await positionOf(bytes, `${modules[0]}.scales`);
    let refused = 0;
    await open((file, response, {range}) => {
      const [first, end] = rangeOf(file, range);
      if (first > scales || end < scales || end - first > 2 ** 20 || refused > 0) return false;
      refused++;
      response.writeHead(403).end();
      return true;
    });
    const module = modules[0] as string;
    expect((await rejection(checkpoint.lower(module))).message).toContain('HTTP 403');
    const wanted = (await expected(module)).words;
    const isWhole = async () => (await checkpoint.lower(module)).words.every((word, j) => word === wanted[j]);
    expect(await isWhole()).toBeTrue();
    const wrong = bytes.slice();
    wrong[await positionOf(bytes, `${modules[1]}.qzeros`)]! ^= 1;
    await checkpoint.close();
    await server.close();
    await open(undefined, {...files, '/m/model.safetensors': wrong});
    expect((await rejection(checkpoint.lower(modules[1] as string))).message).toContain('the config says sym');
    expect(await isWhole()).toBeTrue();
  });

  it('may be read in another order, and several at a time', async () => {
    await open();
    const [first, second, ...others] = [...modules].reverse() as [string, string, ...string[]];
    const read = [await checkpoint.lower(first), ...(await Promise.all([second, ...others].map((module) => checkpoint.lower(module))))];
    for (const [i, module] of [first, second, ...others].entries()) {
      const wanted = (await expected(module)).words;
      expect(read[i]?.words.findIndex((word, j) => word !== wanted[j]))
        .withContext(module)
        .toBe(-1);
    }
  });

  it('are read again where what was asked for ahead did not come, and a reader may give up', async () => {
    let refused = 0;
    const zeros = await positionOf(bytes, `${modules[last]}.qzeros`);
    await open(
      (file, response, {range}) => {
        const [first, end] = rangeOf(file, range);
        if (first > zeros || end < zeros || end - first > 2 ** 20 || refused > 0) return false;
        refused++;
        response.writeHead(403).end();
        return true;
      },
      withConfig({sym: false}),
    );
    await checkpoint.lower(modules[last - 1] as string);
    expect(refused).toBe(1);
    const stop = new AbortController();
    const given = checkpoint.lower(modules[last] as string, stop.signal);
    stop.abort(new Error('enough'));
    expect((await rejection(given)).message).toBe('enough');
    const {words} = await checkpoint.lower(modules[last] as string);
    const wanted = (await expected(modules[last] as string)).words;
    expect(words.findIndex((word, j) => word !== wanted[j])).toBe(-1);
  });
});
