/** Host memory while a layer is loaded: its record and pieces of its file, never both whole. */
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import * as tf from '@tensorflow/tfjs';
import type {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {SpareWords} from '../../kernels/spare_words.js';
import {type Linear, openCheckpoint} from '../../src/index.js';
import {piecesOf} from '../../src/io/pieces.js';
import {type LoadingModel, loadingModels} from '../grid/loading_models.js';
import {jsonBytes} from '../support/files.js';
import {firstDifference, ramp} from './bytes_support.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of all buffers alive, and no garbage. */
function alive(): number {
  collect();
  return process.memoryUsage().arrayBuffers;
}

/** Buffers are freed some turns after their collection: counted at the start, they would hide what comes after. */
async function settled(): Promise<number> {
  let now = alive();
  for (let before = Number.POSITIVE_INFINITY; now < before; ) {
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 20));
    now = alive();
  }
  return now;
}

/** Loads the model's one layer on `cpu`, whose memory is the host's. → most bytes alive at any time, and those of the layer. */
async function peakOf(source: string, module: string): Promise<{peak: number; resident: number}> {
  const start = await settled();
  let peak = 0;
  let events = 0;
  const checkpoint = await openCheckpoint(source, {
    onProgress: () => {
      // A collection takes long: now and then shows as much.
      if (events++ % 5 === 4) peak = Math.max(peak, alive() - start);
    },
  });
  const layer = await checkpoint.linear(module);
  peak = Math.max(peak, alive() - start);
  await checkpoint.close();
  const resident = layer.byteLength;
  layer.dispose();
  return {peak, resident};
}

describe('Loading a layer', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tfl-'));
    await tf.setBackend('cpu');
  });
  afterAll(() => rm(folder, {recursive: true}));

  for (const model of loadingModels(4096, 1)) {
    it(`of ${model.format} takes at most 1.3 times its file`, async () => {
      const at = join(folder, model.name);
      const bytes = model.bytes();
      const config = jsonBytes(model.config);
      await mkdir(at);
      await writeFile(join(at, model.file), bytes);
      if (model.config !== null) await writeFile(join(at, 'config.json'), config);
      const module = model.modules[0] as string;
      const {peak, resident} = await peakOf(join(at, model.file), module);
      // That the measure sees the record.
      expect(peak).toBeGreaterThan(0.95 * resident);
      expect(peak / bytes.length).toBeLessThan(1.3);
    });
  }
});

describe('Loaded layers on wasm', () => {
  let folder: string;
  const [model] = loadingModels(1024, 4) as [LoadingModel];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tfl-'));
    await writeFile(join(folder, model.file), model.bytes());
    await writeFile(join(folder, 'config.json'), JSON.stringify(model.config));
    await tf.setBackend('wasm');
  });
  afterAll(() => rm(folder, {recursive: true}));

  it('leave no copy on the host', async () => {
    const start = await settled();
    const checkpoint = await openCheckpoint(folder);
    const layers = [];
    for (const module of model.modules) layers.push(await checkpoint.linear(module));
    await checkpoint.close();
    const resident = layers.reduce((sum, layer) => sum + layer.byteLength, 0);
    expect((await settled()) - start).toBeLessThan(0.1 * resident);
    for (const layer of layers) layer.dispose();
  });

  it('are as those on cpu, whatever memory was used over', async () => {
    const checkpoint = await openCheckpoint(folder);
    const rows = Array.from({length: 1024}, (_, i) => 1023 - i);
    const loadAll = async () => {
      const [a, b, c, d] = model.modules as [string, string, string, string];
      const one = await checkpoint.linear(a);
      const reversed = await checkpoint.linear(b, {rows});
      const both = await checkpoint.stacked([c, d]);
      return [one, reversed, both, await checkpoint.linear(d)] as Linear[];
    };
    const loaded = [await loadAll(), await loadAll()];
    await tf.setBackend('cpu');
    const expected = await loadAll();
    for (const layers of loaded) {
      for (const [i, layer] of layers.entries()) {
        const [got, wanted] = [layer, expected[i] as Linear].map((l) => (l.weight as QuantizedWeight).words.dataSync() as Int32Array);
        expect(firstDifference(new Uint8Array(got!.slice().buffer), new Uint8Array(wanted!.slice().buffer)))
          .withContext(`layer ${i}`)
          .toBe(-1);
      }
    }
    for (const layer of [...loaded.flat(), ...expected]) layer.dispose();
    await checkpoint.close();
    await tf.setBackend('wasm');
  });
});

describe('Spare words', () => {
  it('come back zeroed, at their own length only, and are not held without bound', () => {
    const spare = new SpareWords();
    const words = new Int32Array(8).fill(7);
    spare.give(words);
    expect(spare.take(7)).not.toBe(words);
    expect(spare.take(8)).toBe(words);
    expect(words).toEqual(new Int32Array(8));
    expect(spare.take(8)).not.toBe(words);
    // A window on another's memory is not the giver's to give.
    const window = new Int32Array(16).subarray(8);
    spare.give(window);
    expect(spare.take(8)).not.toBe(window);
    const large = Array.from({length: 3}, (_, i) => new Int32Array(2 ** 22 + i));
    for (const each of large) spare.give(each);
    expect(large.map((each) => spare.take(each.length) === each)).toEqual([false, false, true]);
    spare.give(words);
    spare.clear();
    expect(spare.take(8)).not.toBe(words);
  });
});

describe('Pieces of a body', () => {
  it('lie in one buffer, and no more of the body is taken before a piece is done with', async () => {
    const bytes = ramp(100_000);
    let taken = 0;
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (; taken < bytes.length; ) {
        const chunk = bytes.subarray(taken, taken + 777);
        taken += chunk.length;
        yield chunk;
      }
    };
    const buffers = new Set<ArrayBufferLike>();
    const seen = new Uint8Array(bytes.length);
    let done = 0;
    for await (const piece of piecesOf('body', {begin: 0, end: bytes.length, unit: 10}, chunks())) {
      buffers.add(piece.buffer);
      expect(piece.length % 10).toBe(0);
      expect(piece.length).toBeLessThanOrEqual(bytes.length / 16);
      expect(taken - done).toBeLessThanOrEqual(piece.length + 777);
      seen.set(piece, done);
      done += piece.length;
    }
    expect(firstDifference(seen, bytes)).toBe(-1);
    expect(buffers.size).toBe(1);
  });
});
