import {mkdir, mkdtemp, readdir, readlink, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {FileFormatError, MissingError, SourceError, UnsupportedError} from '../../src/errors.js';
import {writeSafetensors} from '../../src/io/safetensors.js';
import {openFileSet} from '../../src/io/source.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {bytesOf, ramp, rejection} from './bytes_support.js';

const LENGTH = 40_000_000;

/** How many files under `folder` this process has open. */
async function openUnder(folder: string): Promise<number> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((path) => path.startsWith(folder)).length;
}

describe('files on disk', () => {
  let folder: string;
  const weights = writeSafetensors([{name: 'a', dtype: 'U8', shape: [LENGTH], data: ramp(LENGTH)}], {});

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tfl-'));
    await mkdir(join(folder, 'm', 'sub'), {recursive: true});
    await writeFile(join(folder, 'm', 'model.safetensors'), weights);
    await writeFile(join(folder, 'm', 'config.json'), '{"x":1}');
    await writeFile(join(folder, 'm', 'sub', 'other.gguf'), 'x');
    await writeFile(join(folder, 'bad.gguf'), 'GGML');
    await writeFile(join(folder, 'model.bin'), 'x');
  });
  afterAll(() => rm(folder, {recursive: true}));

  it('are a folder or one file, by path or file URL', async () => {
    const path = join(folder, 'm');
    for (const source of [
      path,
      join(path, 'model.safetensors'),
      pathToFileURL(path),
      pathToFileURL(join(path, 'model.safetensors')).href,
    ]) {
      const files = await openTensorFiles(source);
      expect(files.names()).toEqual(['a']);
      expect(await files.json('config.json')).toEqual({x: 1});
      expect(await files.json('quantize_config.json')).toBeNull();
      await files.close();
    }
  });

  it('are read in pieces, and heard of', async () => {
    const set = await openFileSet(join(folder, 'm'));
    const source = await set.open('model.safetensors');
    expect(source.size).toBe(weights.length);
    const received: number[] = [];
    const bytes = await source.read(weights.length - LENGTH, weights.length + 10, undefined, (n) => received.push(n));
    expect(Buffer.compare(bytes, weights.subarray(weights.length - LENGTH))).toBe(0);
    expect(received).toEqual([2 ** 24, 2 ** 25, LENGTH]);
    expect(await source.read(weights.length + 5, weights.length + 9)).toEqual(new Uint8Array(0));
    await set.close();
    await source.close();
  });

  it('are left alone once the signal is aborted', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const files = await openTensorFiles(join(folder, 'm'), {
      signal: controller.signal,
      onProgress: ({loaded}) => {
        if (loaded > 0) controller.abort(reason);
      },
    });
    expect(await rejection(files.read('a'))).toBe(reason);
    await files.close();
  });

  it('are closed after use and after a failure', async () => {
    if (process.platform !== 'linux') pending('lists open files as Linux does');
    const files = await openTensorFiles(join(folder, 'm'));
    await files.json('config.json');
    expect(await openUnder(folder)).toBe(1);
    await files.close();
    expect(await openUnder(folder)).toBe(0);
    expect(await rejection(openTensorFiles(join(folder, 'bad.gguf')))).toBeInstanceOf(FileFormatError);
    expect(await openUnder(folder)).toBe(0);
    expect(await rejection(files.read('a'))).toBeInstanceOf(SourceError);
  });

  it('that are absent or of another kind are refused by name', async () => {
    const absent = await rejection(openTensorFiles(join(folder, 'nothing')));
    expect(absent).toBeInstanceOf(MissingError);
    expect(absent.message).toMatch(/nothing.*ENOENT/);
    const pickle = await rejection(openTensorFiles(join(folder, 'model.bin')));
    expect(pickle).toBeInstanceOf(UnsupportedError);
    expect(pickle.message).toMatch(/'model\.bin'.*safetensors/);
    const inside = await rejection(openTensorFiles(join(folder, 'm', 'sub', '..', '..')));
    expect(inside.message).toContain('GGUF');
    const set = await openFileSet(join(folder, 'm'));
    const named = await rejection(set.open('sub'));
    expect(named).toBeInstanceOf(MissingError);
    expect(named.message).toMatch(/'sub'.*config\.json/);
    expect(await set.has('../bad.gguf')).toBeFalse();
  });

  it('may be indexed, and are then found by the index itself', async () => {
    const path = join(folder, 'indexed');
    await mkdir(path);
    await writeFile(join(path, 'x.safetensors'), writeSafetensors([{name: 'b', dtype: 'U8', shape: [2], data: ramp(2)}]));
    await writeFile(join(path, 'model.safetensors.index.json'), bytesOf('{"weight_map":{"b":"x.safetensors"}}'));
    const files = await openTensorFiles(join(path, 'model.safetensors.index.json'));
    expect(await files.read('b')).toEqual(ramp(2));
    await files.close();
  });
});
