/** GPTQLinear made from a config, and layers made for a ggml encoding, given the tensors of the files themselves. */
import * as tf from '@tensorflow/tfjs';
import {decodeTable} from '../../kernels/float_codes.js';
import type {FileTensor} from '../../src/formats/format.js';
import {
  GPTQLinear,
  type GPTQLinearConfig,
  gptqLinear,
  Linear,
  MLP,
  openCheckpoint,
  QuantizationConfig,
  type QuantizedWeight,
  saveSafetensors,
} from '../../src/index.js';
import {CASES, type Case} from '../grid/cases.js';
import {randomTensor, saveAndLoad, take} from '../layers/layers_support.js';
import {onEachBackend} from '../support/backends.js';
import {filesOf} from '../support/checkpoints.js';
import {jsonBytes} from '../support/files.js';
import {readTensors} from '../support/fixtures.js';

/** As tf.js holds them: int32, and float32 for every width of float. */
function asTensor({dtype, shape, data}: FileTensor): tf.Tensor {
  const {buffer, byteOffset, length} = data;
  if (dtype === 'I32') return tf.tensor(new Int32Array(buffer, byteOffset, length / 4), [...shape], 'int32');
  if (dtype === 'F32') return tf.tensor(new Float32Array(buffer, byteOffset, length / 4), [...shape]);
  const table = decodeTable(dtype === 'F16' ? 'float16' : 'bfloat16');
  return tf.tensor(
    Float32Array.from(new Uint16Array(buffer, byteOffset, length / 2), (c) => table[c] as number),
    [...shape],
  );
}

async function moduleTensors(c: Case): Promise<Record<string, tf.Tensor>> {
  const all = await readTensors(`quant/${c.file}`);
  const own = [...all].filter(([name]) => name.startsWith(`${c.module}.`));
  return Object.fromEntries(own.map(([name, t]) => [name.slice(c.module.length + 1), asTensor(t)]));
}

async function loaded(c: Case): Promise<Linear> {
  const checkpoint = await openCheckpoint((await filesOf(c)).files);
  const layer = await checkpoint.linear(c.module);
  await checkpoint.close();
  return layer;
}

/** Settings of the case's whole checkpoint; overrides of single modules are the loader's business. */
function configOf(c: Case): GPTQLinearConfig {
  const raw = c.quantization as {bits: number; group_size: number; sym?: boolean; desc_act?: boolean; checkpoint_format?: string};
  return {
    inDim: c.inDim,
    outDim: c.outDim,
    hasBias: c.bias,
    quantizationConfig: {bits: raw.bits, groupSize: raw.group_size, sym: raw.sym ?? false, descAct: raw.desc_act ?? false},
    checkpointFormat: raw.checkpoint_format === 'gptq_v2' ? 'gptq_v2' : 'gptq',
  };
}

const GPTQ = CASES.filter(
  (c) => c.quantization?.quant_method === 'gptq' && c.quantization.checkpoint_format !== 'gptq_p' && c.quantization.dynamic === undefined,
);
const INT_SCALES = (c: Case) => c.container === 'gguf' && !['F32', 'F16', 'BF16'].includes(c.type ?? '');

describe('GPTQLinear', () => {
  it('is tried with every plain GPTQ fixture', () => {
    expect(GPTQ.length).toBeGreaterThan(10);
  });

  for (const c of GPTQ) {
    it(`${c.name}: the file's own tensors give the checkpoint's record`, async () => {
      const [layer, reference, dict] = [gptqLinear(configOf(c)), await loaded(c), await moduleTensors(c)];
      // Scales are held at 16 bits where the file's are.
      layer.loadStateDict(dict);
      const [is, was] = [layer.weight, reference.weight] as [QuantizedWeight, QuantizedWeight];
      const same = is.layout.scales[0]?.type === was.layout.scales[0]?.type;
      if (same) {
        expect(is.layout).toEqual(was.layout);
        expect(await is.words.data()).toEqual(await was.words.data());
      }
      expect(await take(is.dequantize())).toEqual(await take(was.dequantize()));
      const x = randomTensor([3, c.inDim], 2);
      const y = await take(layer.forward(x));
      const again = (await saveAndLoad(layer)) as GPTQLinear;
      expect(again).toBeInstanceOf(GPTQLinear);
      expect(await take(again.forward(x))).toEqual(y);
      expect({...again.quantizationConfig}).toEqual({...layer.quantizationConfig});
      const file = saveSafetensors({m: layer});
      const checkpoint = await openCheckpoint({
        'model.safetensors': file.bytes,
        'config.json': jsonBytes(file.config),
      });
      expect(checkpoint.names().sort()).toEqual(
        Object.keys(dict)
          .map((name) => `m.${name}`)
          .sort(),
      );
      await checkpoint.close();
      tf.dispose([x, dict]);
      for (const l of [layer, reference, again]) l.dispose();
    });
  }

  onEachBackend(() => {
    it('takes perm_idx in place of g_idx, and forgets an order that is none', async () => {
      const c = CASES.find((entry) => entry.name.includes('desc_act') || entry.quantization?.desc_act === true) as Case;
      const {g_idx, ...dict} = await moduleTensors(c);
      const groups = Array.from((g_idx as tf.Tensor).dataSync());
      const order = groups.map((_, i) => i).sort((a, b) => (groups[a] as number) - (groups[b] as number) || a - b);
      const perm = tf.tensor1d(order, 'int32');
      const [layer, reference] = [new GPTQLinear({...configOf(c), name: 'q'}), await loaded(c)];
      const named = Object.fromEntries(Object.entries({...dict, perm_idx: perm}).map(([key, t]) => [`q.${key}`, t]));
      layer.loadStateDict(named);
      const x = randomTensor([3, c.inDim], 2);
      expect(await take(layer.forward(x))).toEqual(await take(reference.forward(x)));
      tf.dispose([x, dict, g_idx, perm]);
      for (const l of [layer, reference]) l.dispose();
    });
  });

  it('has the config of the record where none is given', async () => {
    const c = CASES.find((entry) => entry.name === 'gptq_b4_g32_sym_v1') as Case;
    const layer = (await loaded(c)) as GPTQLinear;
    expect({...layer.quantizationConfig}).toEqual({quantMethod: 'gptq', bits: 4, groupSize: 32, descAct: false, sym: true});
    layer.dispose();
  });

  it('refuses bad arguments and tensors, and stays as it was', async () => {
    const quantizationConfig = new QuantizationConfig({quantMethod: 'gptq', bits: 4, groupSize: 32, sym: true});
    const dims = {inDim: 64, outDim: 8};
    expect(() => new GPTQLinear(dims)).toThrowError(/quantizationConfig: expected a QuantizationConfig/);
    expect(() => new GPTQLinear({...dims, quantizationConfig, quantizationEncoding: 'Q4_0'})).toThrowError(
      /quantizationEncoding: expected 'GPTQ'/,
    );
    expect(() => new GPTQLinear({...dims, quantizationConfig: {bits: 9, groupSize: 32}})).toThrowError(/2 to 8 bits/);
    const layer = new GPTQLinear({...dims, quantizationConfig, name: 'proj'});
    const before = Array.from((layer.weight as QuantizedWeight).words.dataSync());
    const good = {'proj.qweight': tf.ones([8, 8], 'int32'), 'proj.scales': tf.ones([2, 8])};
    const odd = tf.zeros([3], 'int32');
    for (const [dict, message] of [
      [{...good, 'proj.qzero': odd}, /UnusedTensorError: proj: expected only .* Received: qzero/],
      [{...good, qzeros: odd}, /UnusedTensorError.*Received: qzeros/],
      [{...good, 'proj.bias': odd}, /UnusedTensorError.*Received: proj.bias/],
      [{'proj.qweight': good['proj.qweight']}, /proj.*scales/],
      [{...good, 'proj.perm_idx': odd}, /ShapeError: proj: perm_idx: expected \[64\]/],
      [{...good, 'proj.scales': odd}, /scales/],
    ] as const) {
      let thrown = '';
      try {
        layer.loadStateDict(dict as unknown as Record<string, tf.Tensor>);
      } catch (error) {
        thrown = `${(error as Error).name}: ${(error as Error).message}`;
      }
      expect(thrown).toMatch(message);
    }
    expect(Array.from((layer.weight as QuantizedWeight).words.dataSync())).toEqual(before);
    layer.loadStateDict({...good, 'proj.qzero': odd}, {strict: false});
    tf.dispose([good, odd]);
    layer.dispose();
  });
});

describe('a layer of a ggml encoding', () => {
  for (const c of CASES.filter((entry) => INT_SCALES(entry) && !entry.bias)) {
    it(`${c.name}: the blocks' bytes give the file's record`, async () => {
      const reference = await loaded(c);
      const raw = (await readTensors(`quant/${c.file}`)).get('weight.raw') as FileTensor;
      const [rows, rowBytes] = raw.shape as [number, number];
      const blocks = Int32Array.from({length: c.outDim * rowBytes}, (_, i) => raw.data[i % (rows * rowBytes)] as number);
      const bytes = tf.tensor2d(blocks, [c.outDim, rowBytes], 'int32');
      const layer = new Linear({inDim: c.inDim, outDim: c.outDim, quantizationEncoding: c.type as string});
      layer.loadStateDict({weight: bytes});
      const [is, was] = [layer.weight, reference.weight] as [QuantizedWeight, QuantizedWeight];
      expect(is.layout).toEqual(was.layout);
      expect(await is.words.data()).toEqual(await was.words.data());
      bytes.dispose();
      layer.dispose();
      reference.dispose();
    });
  }

  it('in an MLP, with a bias; bytes of another width are refused', async () => {
    const mlp = new MLP({hiddenDim: 32, feedForwardLength: 64, quantizationEncoding: 'Q8_0', hasBias: true});
    const dict: Record<string, tf.Tensor> = {};
    for (const [name, n, k] of [
      ['gate_proj', 64, 32],
      ['up_proj', 64, 32],
      ['down_proj', 32, 64],
    ] as const) {
      dict[`${name}.weight`] = tf.ones([n, (k / 32) * 34], 'int32');
      dict[`${name}.bias`] = tf.ones([n]);
    }
    mlp.loadStateDict(dict);
    expect(mlp.gateProj.bias?.dataSync()[5]).toBe(1);
    const half = decodeTable('float16')[0x0101] as number;
    expect(await take(mlp.downProj.weight.dequantizeRows([3]))).toEqual(new Array(64).fill(half));
    const wrong = {...dict, 'down_proj.weight': dict['gate_proj.weight'] as tf.Tensor};
    expect(() => mlp.loadStateDict(wrong)).toThrowError(/expected \[32, 68\]: the bytes of each row's Q8_0 blocks/);
    const big = tf.fill([64, 34], 256, 'int32');
    expect(() => mlp.loadStateDict({...dict, 'up_proj.weight': big})).toThrowError(/\[0, 0\]: expected a byte, 0 to 255. Received: 256/);
    tf.dispose([dict, big]);
    mlp.dispose();
  });
});
