import {ArgumentError, FileFormatError, MissingError, SourceError, UnsupportedError} from '../../src/errors.js';
import type {ProgressEvent} from '../../src/io/progress.js';
import {writeSafetensors} from '../../src/io/safetensors.js';
import type {SourceInput} from '../../src/io/source.js';
import {openTensorFiles} from '../../src/io/tensor_files.js';
import {fixtureSource, readFixture, readFixtureJson} from '../support/files.js';
import {bytesOf, ggufEntry, ggufFile, ggufListed, ramp, rejection, safetensorsFile, u32} from './bytes_support.js';

const weights = (names: readonly string[], from = 0) =>
  writeSafetensors(names.map((name, i) => ({name, dtype: 'U8', shape: [2, 3], data: ramp(6, from + 10 * i)})));
const index = (map: object) => bytesOf(JSON.stringify({metadata: {}, weight_map: map}));
const gguf = (name: string, metadata: Uint8Array[] = [], from = 0) =>
  ggufFile({metadata, tensors: [ggufListed(name, [3], 24, 0)], data: ramp(3, from)});
const part = (number: number, count: number, total = 2) => [
  ggufEntry('split.no', 2, Uint8Array.of(number, 0)),
  ggufEntry('split.count', 2, Uint8Array.of(count, 0)),
  ggufEntry('split.tensors.count', 5, u32(total)),
];

async function namesIn(source: SourceInput): Promise<string[]> {
  const files = await openTensorFiles(source);
  await files.close();
  return files.names();
}

async function refused(source: SourceInput, kind: new (...parts: never[]) => Error, message: RegExp): Promise<void> {
  const error = await rejection(openTensorFiles(source));
  expect(error).toBeInstanceOf(kind);
  expect(error.message).toMatch(message);
}

describe('openTensorFiles', () => {
  it('has one view of both containers', async () => {
    const st = await openTensorFiles({'model.safetensors': weights(['a', 'b'])});
    expect(st.container).toBe('safetensors');
    expect(st.names()).toEqual(['a', 'b']);
    expect(st.info('b')).toEqual({
      name: 'b',
      dtype: 'U8',
      shape: [2, 3],
      byteLength: 6,
      container: 'safetensors',
      file: 'model.safetensors',
    });
    expect(await st.read('b')).toEqual(ramp(6, 10));
    expect(st.info('c')).toBeUndefined();
    const gg = await openTensorFiles({'model.gguf': gguf('a', [ggufEntry('k', 0, Uint8Array.of(3))], 40)});
    expect(gg.container).toBe('gguf');
    expect(gg.metadata).toEqual({k: 3});
    expect(gg.info('a')).toEqual({name: 'a', dtype: 'I8', shape: [3], byteLength: 3, container: 'gguf', file: 'model.gguf'});
    expect(await gg.read('a')).toEqual(ramp(3, 40));
  });

  it('takes Files, named Blobs and one File', async () => {
    const file = new File([weights(['a']) as BlobPart], 'model.safetensors');
    const config = Object.assign(new Blob(['{"x":1}']), {name: 'config.json'});
    for (const source of [file, [file, config]]) {
      const files = await openTensorFiles(source);
      expect(await files.read('a')).toEqual(ramp(6));
      expect(await files.json('config.json')).toEqual(source === file ? null : {x: 1});
      await files.close();
    }
  });

  it('takes of a picked folder only the files directly in it', async () => {
    const pick = (path: string, content: BlobPart) =>
      Object.defineProperty(new File([content], path.split('/').pop()!), 'webkitRelativePath', {value: path});
    const files = await openTensorFiles([
      pick('model/onnx/config.json', '{"x":2}'),
      pick('model/m.safetensors', weights(['a']) as BlobPart),
      pick('model/config.json', '{"x":1}'),
    ]);
    expect(await files.json('config.json')).toEqual({x: 1});
  });

  it('gives every tensor a buffer of its own', async () => {
    const bytes = weights(['a', 'b']);
    const files = await openTensorFiles({'model.safetensors': bytes});
    const a = await files.read('a');
    expect([a.byteOffset, a.buffer.byteLength]).toEqual([0, 6]);
    a.fill(0);
    expect(await files.read('a')).toEqual(ramp(6));
  });

  it('reads many tensors at once', async () => {
    const names = Array.from({length: 50}, (_, i) => `t${i}`);
    const files = await openTensorFiles(new File([weights(names) as BlobPart], 'model.safetensors'));
    const all = await Promise.all(names.map((name) => files.read(name)));
    all.forEach((bytes, i) => expect(bytes).toEqual(ramp(6, 10 * i)));
  });

  it('reads files beside the tensors, and null where there are none', async () => {
    const files = await openTensorFiles({
      'model.safetensors': weights(['a']),
      'config.json': bytesOf('{"x":[1]}'),
      'bad.json': bytesOf('{'),
      'chat_template.jinja': bytesOf('{{ x }}'),
    });
    expect(await files.json('config.json')).toEqual({x: [1]});
    expect(await files.text('chat_template.jinja')).toBe('{{ x }}');
    expect(await files.json('quantize_config.json')).toBeNull();
    expect(await files.text('README.md')).toBeNull();
    const error = await rejection(files.json('bad.json'));
    expect(error).toBeInstanceOf(FileFormatError);
    expect(error.message).toContain('bad.json');
  });

  it('names what is missing', async () => {
    const files = await openTensorFiles({'model.safetensors': weights(['model.norm.weight'])});
    const error = await rejection(files.read('model.norm.weigth'));
    expect(error).toBeInstanceOf(MissingError);
    expect(error.message).toContain("Did you mean 'model.norm.weight'?");
  });

  it('refuses what is no source', async () => {
    await refused(weights(['a']) as never, ArgumentError, /bytes without a file name/);
    await refused(weights(['a']).buffer as never, ArgumentError, /bytes without a file name/);
    await refused({'model.safetensors': 'text'} as never, ArgumentError, /keys model\.safetensors/);
    await refused([{}] as never, ArgumentError, /array of something else/);
    await refused(null as never, ArgumentError, /null/);
    await refused('', ArgumentError, /a path or URL/);
    await refused('ftp://example.org/model', SourceError, /'ftp'/);
    await refused([new Blob(['x'])], ArgumentError, /Blob of 1 bytes without one/);
    await refused([new File(['x'], 'a'), new File(['y'], 'a')], ArgumentError, /two files called 'a'/);
    await refused({}, MissingError, /no files/);
    await refused({'pytorch_model.bin': ramp(8)}, MissingError, /pytorch_model\.bin/);
  });
});

describe('a checkpoint in several files', () => {
  it('of safetensors may have an index or none', async () => {
    const shards = {'m-1.safetensors': weights(['a', 'b']), 'm-2.safetensors': weights(['c'])};
    expect(await namesIn(shards)).toEqual(['a', 'b', 'c']);
    expect(
      await namesIn({...shards, 'model.safetensors.index.json': index({a: 'm-1.safetensors', b: 'm-1.safetensors', c: 'm-2.safetensors'})}),
    ).toEqual(['a', 'b', 'c']);
    // The index chooses: Mistral's folders hold the same weights again in one more file.
    const twice = {...shards, 'consolidated.safetensors': weights(['a'])};
    expect(await namesIn({...twice, 'model.safetensors.index.json': index({a: 'm-1.safetensors', c: 'm-2.safetensors'})})).toEqual([
      'a',
      'b',
      'c',
    ]);
    await refused(twice, FileFormatError, /tensor 'a'.*'consolidated\.safetensors'.*'m-1\.safetensors'/);
  });

  it('is refused where its index names what is not there', async () => {
    const shards = {'m-1.safetensors': weights(['a']), 'm-2.safetensors': weights(['b'])};
    const withIndex = (map: object) => ({...shards, 'model.safetensors.index.json': index(map)});
    expect(await namesIn(withIndex({a: 'm-1.safetensors', b: 'm-2.safetensors'}))).toEqual(['a', 'b']);
    await refused(withIndex({a: 'm-1.safetensors', b: 'm-3.safetensors'}), MissingError, /'m-3\.safetensors'/);
    await refused(
      withIndex({a: 'm-1.safetensors', c: 'm-2.safetensors'}),
      FileFormatError,
      /tensor 'c'.*in 'm-2\.safetensors'.*no such tensor/,
    );
    await refused(withIndex({a: 'm-1.safetensors', b: 'm-1.safetensors'}), FileFormatError, /tensor 'b'.*no such tensor/);
    await refused(withIndex({a: 'm-2.safetensors', b: 'm-1.safetensors'}), FileFormatError, /tensor 'a'.*it in 'm-1\.safetensors'/);
    await refused(withIndex({a: '../m-1.safetensors'}), FileFormatError, /tensor 'a'.*same folder.*\.\.\/m-1/);
    await refused(withIndex({a: 1}), FileFormatError, /tensor 'a'/);
    await refused(withIndex({}), FileFormatError, /none/);
    await refused({...shards, 'model.safetensors.index.json': bytesOf('{}')}, FileFormatError, /weight_map/);
    const repeated = bytesOf('{"weight_map":{"a":"m-1.safetensors","a":"m-2.safetensors"}}');
    await refused({...shards, 'model.safetensors.index.json': repeated}, FileFormatError, /'a' twice/);
  });

  it('is refused where it may be several checkpoints', async () => {
    await refused({'a.gguf': gguf('a'), 'b.gguf': gguf('b')}, UnsupportedError, /a\.gguf, b\.gguf/);
    await refused({'a.gguf': gguf('a'), 'model.safetensors': weights(['a'])}, UnsupportedError, /model\.safetensors, a\.gguf/);
    const indexes = {'x.safetensors.index.json': index({a: 'm.safetensors'}), 'y.safetensors.index.json': index({a: 'm.safetensors'})};
    await refused({...indexes, 'm.safetensors': weights(['a'])}, UnsupportedError, /x\.safetensors\.index\.json, y/);
    expect(await namesIn({'a.gguf': gguf('a'), '._b.gguf': ramp(4), 'config.json': bytesOf('{}')})).toEqual(['a']);
  });

  it('of GGUF must have all its parts', async () => {
    const parts = {'m-00001-of-00002.gguf': gguf('a', part(0, 2)), 'm-00002-of-00002.gguf': gguf('b', part(1, 2), 50)};
    const files = await openTensorFiles(parts);
    expect(files.names()).toEqual(['a', 'b']);
    expect(await files.read('b')).toEqual(ramp(3, 50));
    expect(files.metadata['split.no']).toBe(0);
    const {'m-00002-of-00002.gguf': second, ...first} = parts;
    await refused(first, MissingError, /no 'm-00002-of-00002\.gguf'/);
    await refused({...parts, 'other.gguf': second}, UnsupportedError, /other\.gguf/);
    await refused({...first, 'm-00002-of-00002.gguf': gguf('b', part(0, 2))}, FileFormatError, /m-00002.*part 1 of 2.*part 0 of 2/);
    await refused({...first, 'm-00002-of-00002.gguf': gguf('b')}, FileFormatError, /m-00002.*\(none\)/);
    await refused({...first, 'm-00002-of-00002.gguf': gguf('a', part(1, 2))}, FileFormatError, /tensor 'a'.*one part/);
    await refused({...parts, 'm-00001-of-00002.gguf': gguf('a', part(0, 2, 3))}, FileFormatError, /split\.tensors\.count.*2.*3/);
    await refused({'renamed.gguf': second}, FileFormatError, /a whole file.*part 1 of 2/);
  });
});

describe('progress', () => {
  const source = {'m-1.safetensors': weights(['a', 'b']), 'm-2.safetensors': weights(['c'])};

  async function eventsOf(
    use: (names: readonly string[], read: (name: string) => Promise<unknown>) => Promise<void>,
  ): Promise<ProgressEvent[]> {
    const events: ProgressEvent[] = [];
    const files = await openTensorFiles(source, {onProgress: (event) => events.push(event)});
    await use(files.names(), (name) => files.read(name));
    await files.close();
    await files.close();
    return events;
  }

  it('counts bytes of tensors, and ends once with all of them', async () => {
    const events = await eventsOf(async (names, read) => {
      for (const name of [...names, ...names]) await read(name);
    });
    expect(events.map(({file, loaded, total, done}) => [file, loaded, total, done])).toEqual([
      ['m-1.safetensors', 0, null, false],
      ['m-2.safetensors', 0, null, false],
      ['m-2.safetensors', 0, 18, false],
      ['m-1.safetensors', 6, 18, false],
      ['m-1.safetensors', 12, 18, false],
      ['m-2.safetensors', 18, 18, true],
    ]);
  });

  it('ends once at closing where not everything was read', async () => {
    const events = await eventsOf(async (_, read) => {
      await Promise.all([read('c'), read('c')]);
    });
    expect(events.slice(3).map(({loaded, total, done}) => [loaded, total, done])).toEqual([
      [6, 18, false],
      [6, 6, true],
    ]);
  });

  it('does not end where opening failed', async () => {
    const events: ProgressEvent[] = [];
    await rejection(openTensorFiles({'m.safetensors': safetensorsFile('{')}, {onProgress: (event) => events.push(event)}));
    expect(events).toEqual([{file: 'm.safetensors', loaded: 0, total: null, done: false}]);
  });
});

describe('an aborted signal', () => {
  it('ends opening and reading with its reason', async () => {
    const source = new File([weights(['a']) as BlobPart], 'm.safetensors');
    const reason = new Error('enough');
    expect(await rejection(openTensorFiles(source, {signal: AbortSignal.abort(reason)}))).toBe(reason);
    const controller = new AbortController();
    const files = await openTensorFiles(source, {signal: controller.signal});
    expect((await files.read('a')).length).toBe(6);
    controller.abort(reason);
    expect(await rejection(files.read('a'))).toBe(reason);
    expect(await rejection(files.json('config.json'))).toBe(reason);
    expect((await files.read('a', new AbortController().signal)).length).toBe(6);
  });
});

describe('the fixtures', () => {
  interface Case {
    kind: string;
    file: string;
    tensors: Record<string, {dtype: string; shape: number[]; ggml_type: string; data_offset: number; n_bytes: number}>;
  }

  /** The index spells types as their tools do. */
  const SPELLED: Record<string, string> = {
    bfloat16: 'BF16',
    float16: 'F16',
    float32: 'F32',
    float8_e4m3fn: 'F8_E4M3',
    float8_e5m2: 'F8_E5M2',
    int32: 'I32',
    int64: 'I64',
    int8: 'I8',
    uint8: 'U8',
  };

  it('hold the tensors that their index lists', async () => {
    const {cases} = await readFixtureJson<{cases: Case[]}>('quant/index.json');
    let tensors = 0;
    for (const {kind, file, tensors: listed} of cases) {
      const bytes = await readFixture(`quant/${file}`);
      const files = await openTensorFiles(await fixtureSource(`quant/${file}`));
      for (const [name, {dtype, shape, ggml_type, data_offset, n_bytes}] of Object.entries(listed)) {
        tensors++;
        const info = files.info(name);
        if (kind === 'gguf-file') {
          expect([info?.dtype, info?.shape, info?.byteLength])
            .withContext(name)
            .toEqual([ggml_type, [...shape].reverse(), n_bytes]);
          expect(await files.read(name)).toEqual(bytes.slice(data_offset, data_offset + n_bytes));
        } else {
          expect([info?.dtype, info?.shape]).withContext(`${file} ${name}`).toEqual([SPELLED[dtype], shape]);
        }
      }
      await files.close();
    }
    expect(tensors).toBeGreaterThan(200);
  });

  it('are read to the byte from a path or URL, as from memory', async () => {
    const file = 'gptq_b4_g32_sym_v1.safetensors';
    const here = await openTensorFiles(await fixtureSource(`quant/${file}`));
    const there = await openTensorFiles({[file]: await readFixture(`quant/${file}`)});
    expect(here.names()).toEqual(there.names());
    for (const name of here.names())
      expect(await here.read(name))
        .withContext(name)
        .toEqual(await there.read(name));
    expect(here.names().length).toBeGreaterThan(5);
    await here.close();
  });
});
