/** The notebook's static files in Chromium, every cell driven, with no network beyond this machine. */
import {execFile} from 'node:child_process';
import path from 'node:path';
import {promisify} from 'node:util';
import {hasShared, needsShared, sharedSource} from '../support/files.js';

type Row = readonly string[];

interface Shown {
  readonly backends: readonly Row[];
  readonly tensors: readonly Row[];
  readonly quantization: string;
  readonly layer: readonly Row[];
  readonly difference: string;
  readonly runs: readonly Row[];
  readonly byRows: string;
  readonly byColumns: string;
  readonly int4: string;
  readonly int8: string;
  readonly swept: number;
  readonly rounding: string;
  readonly broken: string;
  readonly byUrl: readonly Row[];
  readonly dropped: readonly string[];
  readonly stopped: readonly [string, readonly string[]];
  readonly latest: readonly [boolean, readonly string[]];
  readonly answer?: string;
  readonly phone: {readonly page: number; readonly screen: number};
}

const number = (text: string, after: RegExp): number => Number(new RegExp(`${after.source}\\s*([-+.e\\d]+)`).exec(text)?.[1]);

describe('notebook', () => {
  let shown: Shown;

  beforeAll(async () => {
    const model = (await hasShared()) ? ['--model', await sharedSource('models/smollm2-135m-gptq')] : [];
    const {stdout} = await promisify(execFile)(process.execPath, [path.resolve('test/notebook/notebook_check.mjs'), ...model]);
    const result = JSON.parse(stdout) as {shown: Shown; problems: readonly string[]};
    expect(result.problems).toEqual([]);
    shown = result.shown;
  }, 120_000);

  it('starts every backend', () => {
    expect(shown.backends.map((row) => row.slice(1, 3))).toEqual([
      ['cpu', 'runs'],
      ['wasm', 'runs'],
      ['webgl', 'runs'],
      ['webgpu', 'runs'],
    ]);
  });

  it('lists tensors, formats and bytes, and the quantisation config', () => {
    expect(shown.tensors).toContain(['', 'model.layers.0.self_attn.k_proj.qweight', 'I32', '32 × 96', '12.0 KiB']);
    expect(shown.tensors).toHaveSize(5);
    expect(shown.quantization).toContain('quant_method: "gptq"');
  });

  it('unpacks a layer, bit-equal to the tool that wrote it', () => {
    expect(shown.layer).toEqual([
      ['outputs × inputs', '96 × 256'],
      ['a code', '4 bits, integer'],
      ['inputs that share a scale', '64'],
      ['columns reordered', 'yes'],
      ['resident', '13.9 KiB, 4.65 bits a weight'],
      ['as float32', '96.0 KiB'],
    ]);
    expect(number(shown.difference, /\|W'\| =/)).toBe(0);
  });

  it('shows what rounding to 4 bits costs', () => {
    const error = number(shown.rounding, /\|W'\| =/);
    expect(error).toBeGreaterThan(0.01);
    expect(error).toBeLessThan(0.15);
  });

  it('runs the layer on every backend, within its bound, from the same bytes', () => {
    expect(shown.runs.map((row) => row[1])).toEqual(['cpu', 'wasm', 'webgl', 'webgpu']);
    for (const [, backend, packed, float32, error, bytes] of shown.runs) {
      expect(Number(packed)).withContext(`${backend} packed`).toBeGreaterThanOrEqual(0);
      expect(Number(float32)).withContext(`${backend} float32`).toBeGreaterThanOrEqual(0);
      expect(Number(error)).withContext(`${backend} error`).toBeGreaterThan(0);
      expect(Number(error))
        .withContext(`${backend} error`)
        .toBeLessThan(backend === 'wasm' ? 1e-4 : 1e-6);
      expect(bytes).toBe('13.9 KiB');
    }
  });

  it('spreads the layer by rows and by columns', () => {
    expect(number(shown.byRows, /error/)).toBeLessThan(1e-4);
    expect(shown.byRows).toContain('0: cpu');
    expect(shown.byRows).toContain('1: wasm');
    expect(number(shown.byColumns, /error/)).toBeLessThan(1e-4);
    expect(shown.byColumns).toContain('2: webgpu');
  });

  it('quantises a model: fewer bits, fewer bytes and more error', () => {
    expect(shown.int4).toContain('1.3 MiB → 176.7 KiB');
    expect(shown.int8).toContain('1.3 MiB → 339.2 KiB');
    const [four, eight] = [shown.int4, shown.int8].map((text) => number(text, /output error/));
    expect(four).toBeLessThan(0.2);
    expect(eight).toBeLessThan((four as number) / 5);
    expect(shown.swept).toBe(13);
  });

  it('says what is wrong with a file', () => {
    expect(shown.broken).toContain("broken.gguf: the first 24 bytes: expected the letters 'GGUF'");
  });

  it('opens a URL, and files that are dropped', () => {
    expect(shown.byUrl).toEqual(shown.tensors);
    expect(shown.dropped).toContain('model.layers.0.self_attn.k_proj.bias');
  });

  it('stops opening, and keeps what was open; the latest choice wins', () => {
    const names = shown.tensors.map((row) => row[1] as string);
    expect(shown.stopped).toEqual(['stopped', names]);
    expect(shown.latest).toEqual([true, names]);
  });

  it('talks to a model from disk', async () => {
    await needsShared();
    expect(shown.answer).toContain('Paris');
    expect(shown.answer).toMatch(/weights 108 MiB resident .*\(end of text\); backend wasm$/);
  });

  it('fits a phone', () => {
    expect(shown.phone).toEqual({page: 390, screen: 390});
  });
});
