/** Host memory while a layer is loaded: its record and pieces of its file, never both whole. */
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import * as tf from '@tensorflow/tfjs';
import {openCheckpoint} from '../../src/index.js';
import {piecesOf} from '../../src/io/pieces.js';
import {loadingModels} from '../grid/loading_models.js';
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
