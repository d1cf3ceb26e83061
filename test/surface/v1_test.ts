/** Arguments and properties of the older layers: each spec is named after its row in the table of `npm run surface`. */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  GPTQLinearV1,
  Linear,
  LinearV1,
  QLinearV1,
  QuantizationConfig,
  type QuantizedWeight,
  ShapeError,
  ShardingStrategy,
  Weight,
} from '../../src/index.js';
import {warnDeprecated} from '../../src/layers/v1.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {saveAndLoad} from '../layers/layers_support.js';
import {filesOf, floatsOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {loadCase, readTensors} from '../support/fixtures.js';
import {numbersOf} from '../support/numbers.js';

const numbers = (t: tf.Tensor) => Array.from(numbersOf(t));

describe('surface: LinearV1', () => {
  it('LinearV1', async () => {
    const given = {weight: tf.tensor2d([[1, 2]]), bias: tf.tensor1d([0.5])};
    const layer = new LinearV1(given);
    expect(layer).toBeInstanceOf(Linear);
    const x = tf.tensor2d([[3, 4]]);
    expect(numbers(layer.forward(x))).toEqual([11.5]);
    const back = (await saveAndLoad(layer)) as LinearV1;
    expect(back).toBeInstanceOf(LinearV1);
    expect(numbers(back.forward(x))).toEqual([11.5]);
    // Shards are plain layers.
    layer.setSharding(ShardingStrategy.columnwise(2));
    const shards = layer.shard(['cpu', 'cpu']);
    expect(shards.map((shard) => shard.constructor)).toEqual([Linear, Linear]);
    for (const l of [...shards, layer, back]) l.dispose();
    tf.dispose([given, x]);
  });
  it('LinearV1: weight', async () => {
    // Values of any kind; the caller's stay.
    const matrix = tf.tensor2d([
      [1, 2],
      [3, 4],
    ]);
    const handle = new Weight({name: 'w', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4)});
    const owner = new Linear({inDim: 2, outDim: 2});
    owner.loadStateDict({weight: matrix});
    for (const weight of [matrix, handle, owner.weight as never]) {
      const layer = new LinearV1({weight});
      expect(layer.weight.shape).toEqual([2, 2]);
      expect(numbers(layer.weight.dequantize())).toEqual([1, 2, 3, 4]);
      layer.dispose();
    }
    expect(Array.from(matrix.dataSync())).toEqual([1, 2, 3, 4]);
    const c = caseNamed('gguf_q4_0');
    const {layer: packed} = await openLinear(c, (await filesOf(c)).files);
    // A packed one and a window on it, shared or cut.
    const window = (packed.weight as QuantizedWeight).window(2, 5);
    for (const weight of [packed.weight as QuantizedWeight, window]) {
      const layer = new LinearV1({weight});
      expect(numbers(layer.weight.dequantize())).toEqual(numbers(weight.dequantize()));
      layer.dispose();
    }
    const flat = tf.ones([4]);
    expect(() => new LinearV1({weight: flat})).toThrowError(ShapeError);
    window.dispose();
    packed.dispose();
    owner.dispose();
    handle.dispose();
    tf.dispose([matrix, flat]);
  });
  it('LinearV1: bias', () => {
    const weight = tf.tensor2d([[1, 2]]);
    const handle = new Weight({name: 'b', shape: [1], data: Float32Array.of(7)});
    const layer = new LinearV1({weight, bias: handle});
    expect(Array.from(layer.bias?.dataSync() ?? [])).toEqual([7]);
    const without = new LinearV1({weight});
    expect(without.bias).toBeNull();
    expect(() => new LinearV1({weight, bias: weight})).toThrowError(ShapeError);
    for (const l of [layer, without]) l.dispose();
    handle.dispose();
    weight.dispose();
  });
  it('LinearV1: create', async () => {
    const weight = tf.tensor2d([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const bias = tf.tensor1d([1, 2]);
    const common = {inFeatures: 3, outFeatures: 2};
    const plain = [
      LinearV1.create({...common, weights: weight, bias}),
      LinearV1.create({...common, weights: {weight, bias}}),
      // Left unquantised in a GPTQ checkpoint.
      LinearV1.create({...common, quantizationEncoding: 'GPTQ', weights: {weight}, bias}),
    ];
    for (const layer of plain) {
      expect(layer.constructor).toBe(LinearV1);
      expect(Array.from(layer.bias?.dataSync() ?? [])).toEqual([1, 2]);
      layer.dispose();
    }
    const blocks = new Weight({name: 'w', shape: [2, 32], quantizationEncoding: 'Q8_0', data: new Uint8Array(68).fill(1)});
    const packed = LinearV1.create({inFeatures: 32, outFeatures: 2, quantizationEncoding: 'Q4_0', weights: blocks});
    expect([packed.constructor, (packed as QLinearV1).quantizationEncoding]).toEqual([QLinearV1, 'Q8_0']);
    const {dict, config, c} = await gptqTensors('gptq_b4_g128_sym_v1_bias');
    const gptq = LinearV1.create({
      inFeatures: c.inDim,
      outFeatures: c.outDim,
      quantizationEncoding: 'GPTQ',
      weights: dict,
      quantizationConfig: config,
    });
    expect([gptq.constructor, gptq.hasBias]).toEqual([GPTQLinearV1, true]);
    expect(() => LinearV1.create({inFeatures: 2, outFeatures: 3, weights: weight})).toThrowMatching(
      (e) => e instanceof ShapeError && /outFeatures, inFeatures/.test(e.message),
    );
    expect(() => LinearV1.create({...common, weights: {bias}})).toThrowMatching(
      (e) => e instanceof ArgumentError && /'weight'/.test(e.message),
    );
    for (const l of [packed, gptq]) l.dispose();
    blocks.dispose();
    tf.dispose([weight, bias, dict]);
  });
  it('warns once a class', () => {
    const warn = spyOn(console, 'warn');
    const weight = tf.ones([1, 1]);
    for (let i = 0; i < 2; i++) {
      warnDeprecated('OldV1', 'New');
      new LinearV1({weight}).dispose();
    }
    const texts = warn.calls.allArgs().map(([text]) => String(text));
    expect(texts.filter((text) => text.includes('OldV1'))).toEqual(['tfjs-linear: OldV1 is deprecated. Use New.']);
    // None where an earlier spec had it.
    expect(texts.filter((text) => / LinearV1 /.test(text)).length).toBeLessThanOrEqual(1);
    weight.dispose();
  });
});

/** GPTQ's tensors of a fixture under their names in the file, its config and case. */
async function gptqTensors(name: string) {
  const c = caseNamed(name);
  const {module} = await loadCase(name);
  const dict: Record<string, tf.Tensor> = {};
  for (const [key, t] of module.tensors) {
    dict[key] =
      t.dtype === 'I32'
        ? tf.tensor(Int32Array.from(new Int32Array(t.data.buffer, t.data.byteOffset, t.data.length / 4)), [...t.shape], 'int32')
        : tf.tensor(floatsOf(t), [...t.shape]);
  }
  const {
    bits,
    group_size: groupSize,
    desc_act: descAct,
    sym,
  } = module.quantization as {bits: number; group_size: number; desc_act: boolean; sym: boolean};
  return {c, dict, config: new QuantizationConfig({quantMethod: 'gptq', bits, groupSize, descAct, sym})};
}

describe('surface: QLinearV1', () => {
  it('QLinearV1: weight', async () => {
    const tensors = await readTensors('max/qlinear_q4_0_64x96.safetensors');
    const bytes = tensors.get('weight_bytes');
    const dequant = tensors.get('dequant');
    if (bytes === undefined || dequant === undefined) throw new Error('no weight');
    const blocks = tf.tensor2d(Int32Array.from(bytes.data), bytes.shape as [number, number], 'int32');
    const layer = new QLinearV1({weight: blocks, quantizationEncoding: 'Q4_0'});
    expect(layer.weight.shape).toEqual([64, 96]);
    expect(numbers(layer.weight.dequantize())).toEqual(Array.from(floatsOf(dequant)));
    const back = (await saveAndLoad(layer)) as QLinearV1;
    expect([back.constructor, back.quantizationEncoding]).toEqual([QLinearV1, 'Q4_0']);
    expect(numbers(back.weight.dequantize())).toEqual(Array.from(floatsOf(dequant)));
    const matrix = tf.ones([2, 2]);
    expect(() => new QLinearV1({weight: matrix})).toThrowError(ArgumentError);
    const dense = new Linear({inDim: 2, outDim: 2});
    expect(() => new QLinearV1({weight: dense.weight as never})).toThrowMatching(
      (e) => e instanceof ArgumentError && /packed/.test(e.message),
    );
    for (const l of [layer, back, dense]) l.dispose();
    tf.dispose([blocks, matrix]);
  });
  it('QLinearV1: bias', () => {
    const weight = new Weight({name: 'w', shape: [1, 32], quantizationEncoding: 'Q8_0', data: new Uint8Array(34)});
    const bias = tf.tensor1d([3]);
    const layer = new QLinearV1({weight, bias});
    const x = tf.ones([1, 32]);
    expect(numbers(layer.forward(x))).toEqual([3]);
    layer.dispose();
    weight.dispose();
    tf.dispose([bias, x]);
  });
  it('QLinearV1: quantizationEncoding', () => {
    // The weight's own wins: a file may mix encodings.
    const weight = new Weight({name: 'w', shape: [1, 256], quantizationEncoding: 'Q6_K', data: new Uint8Array(210)});
    const layer = new QLinearV1({weight, quantizationEncoding: 'Q4_K'});
    expect(layer.quantizationEncoding).toBe('Q6_K');
    layer.dispose();
    weight.dispose();
  });
});

describe('surface: GPTQLinearV1', () => {
  it('GPTQLinearV1: weight', async () => {
    const {c, dict, config} = await gptqTensors('gptq_b4_g128_sym_v1_bias');
    const {bias, ...weight} = dict;
    const reference = await filesOf(c);
    const layer = new GPTQLinearV1({weight, bias: bias as tf.Tensor, quantizationConfig: config});
    expect(numbers(layer.weight.dequantize()).map((v) => v + 0)).toEqual(Array.from(reference.weight, (v) => v + 0));
    const x = tf.tensor2d(reference.x, [reference.x.length / c.inDim, c.inDim]);
    expect(rowErrors(numbers(layer.forward(x)), reference.y, c.outDim)).toBeLessThanOrEqual(1e-6);
    const back = (await saveAndLoad(layer)) as GPTQLinearV1;
    expect(back.quantizationConfig).toEqual(config);
    expect(numbers(back.forward(x))).toEqual(numbers(layer.forward(x)));
    // And over a record that is packed already.
    const again = new GPTQLinearV1({weight: layer.weight as QuantizedWeight});
    expect(again.weight.shape).toEqual([c.outDim, c.inDim]);
    expect(() => new GPTQLinearV1({weight: {scales: x}, quantizationConfig: config})).toThrowError(ArgumentError);
    for (const l of [layer, back, again]) l.dispose();
    tf.dispose([dict, x]);
  });
  it('GPTQLinearV1: bias', async () => {
    const {c, dict, config} = await gptqTensors('gptq_b4_g128_sym_v1_bias');
    const {bias, ...weight} = dict;
    const layer = new GPTQLinearV1({weight, bias: bias as tf.Tensor, quantizationConfig: config});
    expect(Array.from(layer.bias?.dataSync() ?? [])).toEqual(Array.from((bias as tf.Tensor).dataSync()));
    expect(layer.bias?.shape).toEqual([c.outDim]);
    layer.dispose();
    tf.dispose(dict);
  });
  it('GPTQLinearV1: quantizationEncoding', async () => {
    const {dict, config} = await gptqTensors('gptq_b4_g32_sym_v1');
    const layer = new GPTQLinearV1({weight: dict, quantizationEncoding: 'GPTQ', quantizationConfig: config});
    expect(layer.quantizationEncoding).toBe('GPTQ');
    layer.dispose();
    tf.dispose(dict);
  });
  it('GPTQLinearV1: quantizationConfig', async () => {
    const {dict, config} = await gptqTensors('gptq_b4_g32_sym_v1');
    const layer = new GPTQLinearV1({weight: dict, quantizationConfig: config});
    expect(layer.quantizationConfig).toBe(config);
    expect(() => new GPTQLinearV1({weight: dict})).toThrowMatching(
      (e) => e instanceof ArgumentError && /QuantizationConfig/.test(e.message),
    );
    layer.dispose();
    tf.dispose(dict);
  });
  it('GPTQLinearV1: permIdx', async () => {
    // The loader of MAX sorts the map of groups; here the layer takes either.
    const {dict, config} = await gptqTensors('gptq_b4_g64_sym_act_v1_bias');
    const {bias: _bias, g_idx: groups, ...rest} = dict;
    const map = Array.from((groups as tf.Tensor).dataSync());
    const order = Int32Array.from(map.map((_, k) => k).sort((a, b) => (map[a] as number) - (map[b] as number) || a - b));
    const permIdx = tf.tensor1d(order, 'int32');
    const [a, b] = [
      new GPTQLinearV1({weight: {...rest, g_idx: groups as tf.Tensor}, quantizationConfig: config}),
      new GPTQLinearV1({weight: rest, permIdx, quantizationConfig: config}),
    ];
    expect(a.permIdx).toEqual(order);
    expect(b.permIdx).toEqual(order);
    expect(numbers(b.weight.dequantize())).toEqual(numbers(a.weight.dequantize()));
    for (const l of [a, b]) l.dispose();
    tf.dispose([dict, permIdx]);
  });
});
