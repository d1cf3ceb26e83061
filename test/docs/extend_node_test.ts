/** The worked examples of docs/add-a-format.md and docs/add-a-backend.md: the pages print these files, and these files work. */
import {readFile} from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs';
import {grid, sectionsOf} from '../../kernels/layout.js';
import {type Format, findFormat, type Module} from '../../src/formats/format.js';
import {FORMATS} from '../../src/formats/index.js';
import {bytesOf} from '../../src/formats/tensors.js';
import {ColumnParallelLinear, Linear, openCheckpoint, ops, QuantizedWeight, saveSafetensors} from '../../src/index.js';
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {randomWeights, randomX} from '../grid/layouts.js';
import {onEachBackend} from '../support/backends.js';
import {rowErrors} from '../support/errors.js';
import {loadCase} from '../support/fixtures.js';
import {magnitudesOf, productOf, unpacked} from '../support/reference.js';
import {codes8} from './codes8_format.js';
import {registerHostKernels} from './host_backend.js';

/** The file as it would read in its own folder. */
async function asOnPage(file: string): Promise<string> {
  return (await readFile(`test/docs/${file}`, 'utf8')).replaceAll("'../../src/formats/", "'./").replaceAll("'../../src/", "'../");
}

describe('a page prints the file that the specs run', () => {
  it('docs/add-a-format.md', async () => {
    expect(await readFile('docs/add-a-format.md', 'utf8')).toContain(`\`\`\`ts\n${await asOnPage('codes8_format.ts')}\`\`\``);
  });

  it('docs/add-a-backend.md', async () => {
    const page = await readFile('docs/add-a-backend.md', 'utf8');
    const file = (await asOnPage('host_backend.ts')).replaceAll("'../../kernels/", "'../");
    expect(page).toContain(`\`\`\`ts\n${file}\`\`\``);
  });
});

describe('the drawing of docs/record.md', () => {
  it('has its words where they lie', () => {
    const groups = grid(2, 16, 1, 8);
    const layout = {outDim: 2, inDim: 16, planes: [4], decode: {kind: 'integer'}, zero: {kind: 'codes', grid: groups}} as const;
    const scales = [{grid: groups, type: 'float16', divide: false}] as const;
    const sections = sectionsOf({...layout, scales, offsets: [], ordered: false, indexed: false});
    expect(sections.codes).toEqual({start: 0, length: 4});
    expect(sections.rowWords).toBe(2);
    expect(sections.scales).toEqual([{start: 4, length: 2}]);
    expect(sections.zeros).toEqual({start: 8, length: 1});
    expect(sections.length).toBe(9);
  });
});

describe('the example format', () => {
  const [outDim, inDim] = [6, 70];
  const codes = Int8Array.from({length: outDim * inDim}, (_, i) => ((i * 37) % 256) - 128);
  const scale = Float32Array.from({length: outDim}, (_, n) => 0.01 * (n + 1));
  const bias = Float32Array.from({length: outDim}, (_, n) => n - 2);
  const bytes = writeSafetensors([
    {name: 'up.codes8', dtype: 'I8', shape: [outDim, inDim], data: bytesOf(codes)},
    {name: 'up.scale', dtype: 'F32', shape: [outDim], data: bytesOf(scale)},
    {name: 'up.bias', dtype: 'F32', shape: [outDim], data: bytesOf(bias)},
  ]);
  const module: Module = {
    module: 'up',
    container: 'safetensors',
    quantization: null,
    tensors: new Map([
      ['codes8', {dtype: 'I8', shape: [outDim, inDim], data: bytesOf(codes)}],
      ['scale', {dtype: 'F32', shape: [outDim], data: bytesOf(scale)}],
    ]),
  };
  const registry = FORMATS as Format[];
  beforeAll(() => {
    registry.push(codes8);
  });
  afterAll(() => {
    expect(registry.pop()).toBe(codes8);
  });

  async function open(): Promise<Linear> {
    const checkpoint = await openCheckpoint({'model.safetensors': bytes});
    const layer = await checkpoint.linear('up');
    await checkpoint.close();
    return layer;
  }

  onEachBackend(() => {
    it('loads, unpacks bit-equal to its reference, and multiplies', async () => {
      const layer = await open();
      const weight = layer.weight.dequantize();
      const expected = codes8.reference(module);
      expect(await weight.data()).toEqual(expected);
      const x = randomX(3, inDim);
      const xt = tf.tensor2d(x, [3, inDim]);
      const y = layer.forward(xt);
      const norms = magnitudesOf(x, expected, 3, outDim, bias);
      expect(rowErrors(await y.data(), productOf(x, expected, 3, outDim, bias), outDim, norms)).toBeLessThan(1e-4);
      tf.dispose([weight, xt, y]);
      layer.dispose();
    });
  });

  it('stays packed: one byte a weight, and a scale a row', async () => {
    const layer = await open();
    // Rows of 70 bytes begin at whole words.
    expect(layer.weight.byteLength).toBe(outDim * 72 + 4 * outDim);
    layer.dispose();
  });

  it('is cut, spread over devices and saved without a line of its own', async () => {
    const layer = await open();
    const expected = codes8.reference(module);
    const cut = (layer.weight as QuantizedWeight).slice({rows: [2, 4], columns: [5, 68]});
    const part = cut.dequantize();
    expect(await part.data()).toEqual(
      Float32Array.from([2, 3].flatMap((n) => Array.from(expected.subarray(n * inDim + 5, n * inDim + 68)))),
    );
    const spread = new ColumnParallelLinear({inDim, outDim, devices: ['cpu', 'wasm', 'cpu'], tiedWeight: layer});
    const whole = spread.weight.dequantize();
    expect(await whole.data()).toEqual(expected);
    const again = saveSafetensors({up: layer}).bytes;
    const read = await openCheckpoint({'model.safetensors': again});
    expect(read.names().sort()).toEqual(['up.bias', 'up.codes8', 'up.scale']);
    const lowered = await read.lower('up');
    expect(codes8.raise(lowered).get('codes8')?.data).toEqual(bytesOf(codes));
    await read.close();
    tf.dispose([part, whole]);
    cut.dispose();
    spread.dispose();
    layer.dispose();
  });

  it('refuses a tensor that it does not read, and a scale of another shape', () => {
    const tensors = new Map(module.tensors);
    tensors.set('zeros', {dtype: 'F32', shape: [outDim], data: bytesOf(scale)});
    expect(() => codes8.lower({...module, tensors})).toThrowError(/^up: expected only codes8, scale, bias .*Received: zeros/);
    const short = new Map(module.tensors).set('scale', {dtype: 'F32', shape: [2], data: bytesOf(scale.subarray(0, 2))});
    expect(() => codes8.lower({...module, tensors: short})).toThrowError(/^up\.scale: expected F32 \[6\]/);
  });
});

describe('the example backend', () => {
  const NAME = 'example';

  beforeAll(async () => {
    // tf.js's own ops: any backend brings them. Ours are not among these, which is the point.
    const borrowed = tf.getKernelsForBackend('cpu').filter(({kernelName}) => /^(Reshape|Identity|Cast|Fill|Concat|Add)$/.test(kernelName));
    for (const kernel of borrowed) tf.registerKernel({...kernel, backendName: NAME});
    // A second cpu backend, with tensors of its own.
    const Plain = tf.engine().findBackend('cpu').constructor as new () => tf.KernelBackend;
    tf.registerBackend(NAME, () => new Plain());
    registerHostKernels(NAME);
    await tf.setBackend(NAME);
  });

  afterAll(async () => {
    await tf.setBackend('cpu');
    tf.removeBackend(NAME);
    for (const {kernelName} of tf.getKernelsForBackend(NAME)) tf.unregisterKernel(kernelName, NAME);
  });

  it('reads every structure of the record bit by bit', async () => {
    for (const {layout, words, name} of randomWeights()) {
      const weight = QuantizedWeight.fromWords(layout, words.slice());
      const w = weight.dequantize();
      expect((await w.data()).map((v) => v + 0))
        .withContext(name)
        .toEqual(unpacked({layout, words}));
      w.dispose();
      weight.dispose();
    }
  });

  it('multiplies, alone and in a layer of a file, and rounds x where it is asked to', async () => {
    expect(tf.getBackend()).toBe(NAME);
    const {module} = await loadCase('ct_fp8_dynamic_channel');
    const {layout, words, bias} = findFormat(FORMATS, module).lower(module);
    expect(bias).not.toBeNull();
    const weight = QuantizedWeight.fromWords(layout, words.slice());
    const x = randomX(2, layout.inDim);
    const xt = tf.tensor2d(x, [2, layout.inDim]);
    const y = ops.quantizedMatMul(xt, weight, {activation: 'relu'});
    const w = unpacked({layout, words});
    const norms = magnitudesOf(x, w, 2, layout.outDim);
    expect(rowErrors(await y.data(), productOf(x, w, 2, layout.outDim, null, 'relu'), layout.outDim, norms)).toBeLessThan(1e-6);
    const rounding = {dtype: 'float8_e4m3fn', origin: 'dynamic', granularity: 'colwise'} as const;
    const rounded = ops.quantizedMatMul(xt, weight, {inputQuantization: rounding});
    const other = rowErrors(await rounded.data(), productOf(x, w, 2, layout.outDim), layout.outDim, norms);
    expect(other).toBeGreaterThan(1e-3);
    expect(other).toBeLessThan(0.1);
    tf.dispose([xt, y, rounded]);
    weight.dispose();
    const layer = new Linear({inDim: 3, outDim: 2, dtype: 'bfloat16'});
    const values = tf.tensor2d([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    layer.loadStateDict({weight: values});
    const ones = tf.ones([2, 1, 3]);
    const sums = layer.forward(ones);
    expect(await sums.array()).toEqual([[[6, 15]], [[6, 15]]]);
    tf.dispose([values, ones, sums]);
    layer.dispose();
  });
});
