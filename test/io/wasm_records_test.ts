/** Records lowered in place, in the memory of tf.js's wasm backend: the words of the host's, and nothing left where it fails. */
import * as tf from '@tensorflow/tfjs';
import type {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {WasmRecords, wasmBackend} from '../../kernels/record_words.js';
import {SpareWords} from '../../kernels/spare_words.js';
import type {FileTensor} from '../../src/formats/format.js';
import {findFormat} from '../../src/formats/format.js';
import {FORMATS} from '../../src/formats/index.js';
import {openCheckpoint} from '../../src/index.js';
import {CASES} from '../grid/cases.js';
import {loadingModels} from '../grid/loading_models.js';
import {moduleOf} from '../support/checkpoints.js';
import {jsonBytes} from '../support/files.js';
import {firstDifference, rejection} from './bytes_support.js';

const bytesOf = (words: Int32Array) => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

/** More memory than the backend has: it grows, and old views go. */
function growHeap(): void {
  const {wasm} = wasmBackend('wasm') as unknown as {wasm: {HEAPU8: Uint8Array}};
  const t = tf.zeros([wasm.HEAPU8.length / 4 + 2 ** 18]);
  t.dispose();
}

describe('Records in the memory of the wasm backend', () => {
  beforeAll(async () => {
    await tf.setBackend('wasm');
  });

  it('have the words that the host has, in whatever pieces they come, and where the memory grows meanwhile', async () => {
    const records = new WasmRecords(wasmBackend('wasm')!);
    const formats = new Set<string>();
    let grown = 0;
    for (const c of CASES) {
      const module = await moduleOf(c);
      const format = findFormat(FORMATS, module);
      const pieces = format.pieces?.(module) ?? null;
      if (pieces === null || format.begin === undefined) continue;
      const {words} = format.lower(module);
      const large = module.tensors.get(pieces.tensor) as FileTensor;
      const rest = new Map([...module.tensors, [pieces.tensor, {...large, data: new Uint8Array(0)}]]);
      const before = tf.memory();
      const place = records.place(new SpareWords());
      const lowering = format.begin({...module, tensors: rest}, place);
      for (let at = 0, rows = 1; at < large.data.length; rows += 2) {
        const piece = large.data.slice(at, at + rows * pieces.rowBytes);
        at += piece.length;
        lowering.add(piece);
        piece.fill(0xff);
        if (!formats.has(format.name) && rows === 3 && grown++ < 3) growHeap();
      }
      expect(firstDifference(bytesOf(lowering.finish().words), bytesOf(words)))
        .withContext(c.name)
        .toBe(-1);
      const tensor = place.tensor()!;
      expect(firstDifference(bytesOf(tensor.dataSync() as Int32Array), bytesOf(words)))
        .withContext(c.name)
        .toBe(-1);
      expect(tf.memory().numBytes - before.numBytes).toBe(words.byteLength);
      place.end();
      expect(tf.memory()).toEqual(before);
      formats.add(format.name);
    }
    records.close();
    expect(grown).toBeGreaterThan(0);
    expect([...formats].sort()).toEqual(['dense', 'float-quantized', 'fp8', 'gguf', 'gptq', 'mxfp8-quantized']);
  });

  it('are the layers of a checkpoint, whatever backend is current when they are there', async () => {
    for (const model of loadingModels(512, 2)) {
      const files = {[model.file]: model.bytes(), ...(model.config === null ? {} : {'config.json': jsonBytes(model.config)})};
      const [module] = model.modules as [string];
      const before = tf.memory();
      const checkpoint = await openCheckpoint(files);
      const {words} = await checkpoint.lower(module);
      const expected = bytesOf(words).slice();
      const asked = checkpoint.linear(module, {device: 'wasm'});
      await tf.setBackend('cpu');
      const layer = await asked;
      await tf.setBackend('wasm');
      const got = (await (layer.weight as QuantizedWeight).words.data()) as Int32Array;
      expect(firstDifference(bytesOf(got), expected))
        .withContext(model.format)
        .toBe(-1);
      await checkpoint.close();
      layer.dispose();
      expect(tf.memory()).toEqual(before);
    }
  });

  it('leave nothing behind where a layer is refused, given up, or its checkpoint closed meanwhile', async () => {
    const [gptq, q4] = loadingModels(1024, 2);
    const damaged = gptq!.bytes();
    // The last scale is infinite: found before, and in GGUF while, codes are lowered.
    damaged.set([0x00, 0x7c], damaged.length - 2);
    const blocks = q4!.bytes();
    blocks.set([0x00, 0x7c], blocks.length - 18);
    const backend = wasmBackend('wasm') as unknown as {wasm: object; numDataIds(): number};
    const before = {...tf.memory(), ids: backend.numDataIds()};
    const one = await openCheckpoint({'model.safetensors': damaged, 'config.json': jsonBytes(gptq!.config)});
    const two = await openCheckpoint({'model.gguf': blocks});
    expect((await rejection(one.linear(gptq!.modules[1] as string))).message).toContain('not finite');
    expect((await rejection(two.linear(q4!.modules[1] as string))).message).toContain('0x7c00');
    const stop = new AbortController();
    const slow = await openCheckpoint([
      new File([gptq!.bytes() as BlobPart], 'model.safetensors'),
      new File([jsonBytes(gptq!.config) as BlobPart], 'config.json'),
    ]);
    const given = slow.linear(gptq!.modules[0] as string, {signal: stop.signal});
    stop.abort(new Error('enough'));
    expect((await rejection(given)).message).toBe('enough');
    await slow.close();
    const going = two.linear(q4!.modules[0] as string);
    await two.close();
    (await going).dispose();
    await one.close();
    expect({...tf.memory(), ids: backend.numDataIds()}).toEqual(before);
  });
});
