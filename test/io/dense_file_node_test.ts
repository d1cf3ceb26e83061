/** Weights that a record holds as the file does: read straight into it. */
import {mkdtemp, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {SourceError} from '../../src/errors.js';
import {openCheckpoint} from '../../src/index.js';
import {writeSafetensors} from '../../src/io/safetensors.js';
import {firstDifference, ramp, rejection} from './bytes_support.js';

/** Rows of whole words, of half a word more, and one that is short; the first takes several reads. */
const SHAPES = {whole: [3000, 1502], half: [300, 1501], few: [2, 4]} as const;

describe('A dense weight in a file', () => {
  const data = Object.entries(SHAPES).map(([name, shape]) => ({
    name: `${name}.weight`,
    dtype: 'BF16' as const,
    shape,
    data: ramp(shape[0] * shape[1] * 2, shape[1]),
  }));
  const bytes = writeSafetensors(data);
  let path: string;
  beforeEach(async () => {
    path = join(await mkdtemp(join(tmpdir(), 'tfl-')), 'model.safetensors');
    await writeFile(path, bytes);
  });
  afterEach(() => rm(join(path, '..'), {recursive: true}));

  it('becomes the record that its bytes in memory become', async () => {
    const loaded: number[] = [];
    const file = await openCheckpoint(path, {onProgress: (event) => loaded.push(event.loaded)});
    const memory = await openCheckpoint({'model.safetensors': bytes});
    for (const name of Object.keys(SHAPES)) {
      const [got, expected] = [await file.lower(name), await memory.lower(name)];
      expect(got.layout).toEqual(expected.layout);
      expect(firstDifference(new Uint8Array(got.words.buffer), new Uint8Array(expected.words.buffer)))
        .withContext(name)
        .toBe(-1);
    }
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    expect(loaded.at(-1)).toBe(data.reduce((sum, tensor) => sum + tensor.data.length, 0));
    await file.close();
    await memory.close();
  });

  it('that became shorter is refused, and a reader may give up', async () => {
    const file = await openCheckpoint(path);
    const stop = new AbortController();
    const given = file.lower('whole', stop.signal);
    stop.abort(new Error('enough'));
    expect((await rejection(given)).message).toBe('enough');
    await truncate(path, 6_000_000);
    const error = await rejection(file.lower('whole'));
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toMatch(/tensor 'whole\.weight'.*ends at \d+.*incomplete/);
    await file.close();
  });
});
