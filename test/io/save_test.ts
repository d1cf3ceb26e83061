/** saveSafetensors: the bytes of the file again, and layers that come back to the bit. */
import * as tf from '@tensorflow/tfjs';
import {
  type Checkpoint,
  Float8ScaleGranularity,
  Float8ScaleOrigin,
  Linear,
  type MLP,
  openCheckpoint,
  type QuantizedWeight,
  quantizeModel,
  type SavedFile,
  saveSafetensors,
  saveSafetensorsAsync,
} from '../../src/index.js';
import {CASES, type Case} from '../grid/cases.js';
import {randomTensor, saveAndLoad, take} from '../layers/layers_support.js';
import {filesOf} from '../support/checkpoints.js';
import {jsonBytes} from '../support/files.js';

function reopen({bytes, config}: SavedFile): Promise<Checkpoint> {
  return openCheckpoint({'model.safetensors': bytes, 'config.json': jsonBytes(config)});
}

async function open(c: Case): Promise<Linear> {
  const checkpoint = await openCheckpoint((await filesOf(c)).files);
  const layer = await checkpoint.linear(c.module);
  await checkpoint.close();
  return layer;
}

async function expectSame(is: Linear, was: Linear, where: string): Promise<void> {
  const [a, b] = [is.weight, was.weight] as [QuantizedWeight, QuantizedWeight];
  expect(a.layout).withContext(where).toEqual(b.layout);
  expect(await a.words.data())
    .withContext(where)
    .toEqual(await b.words.data());
  expect(is.inputQuantization).withContext(where).toEqual(was.inputQuantization);
  expect(is.bias === null ? null : await is.bias.data())
    .withContext(where)
    .toEqual(was.bias === null ? null : await was.bias.data());
}

/** Why the file of a case cannot be written again as safetensors. */
const BLOCKS = CASES.filter((c) => c.container === 'gguf' && !['F32', 'F16', 'BF16'].includes(c.type ?? ''));
/** Blocks that are also integers or small floats with one scale a group. */
const PLAIN_BLOCKS = ['Q4_0', 'Q5_0', 'Q8_0', 'TQ1_0', 'TQ2_0', 'MXFP4'];

describe('saveSafetensors', () => {
  for (const c of CASES.filter((entry) => !BLOCKS.includes(entry))) {
    it(`${c.name}: the same tensors, the same layer, also after layer.save`, async () => {
      const {files} = await filesOf(c);
      const first = await openCheckpoint(files);
      const layer = await first.linear(c.module);
      const saved = saveSafetensors({[c.module]: layer});
      const second = await reopen(saved);
      const own = first.names().filter((name) => name.startsWith(`${c.module}.`));
      expect(second.names().sort()).toEqual(own.sort());
      for (const name of own) {
        const [{container: _c, file: _f, ...is}, {container: _d, file: _g, ...was}] = [second.info(name), first.info(name)] as Record<
          string,
          unknown
        >[] as [Record<string, unknown>, Record<string, unknown>];
        expect(is).withContext(name).toEqual(was);
      }
      const again = await second.linear(c.module);
      await expectSame(again, layer, c.name);
      const through = (await saveAndLoad(layer)) as Linear;
      expect(saveSafetensors({[c.module]: through}).bytes).toEqual(saved.bytes);
      expect((await saveSafetensorsAsync({[c.module]: again})).bytes).toEqual(saved.bytes);
      for (const l of [layer, again, through]) l.dispose();
      await first.close();
      await second.close();
    });
  }

  for (const c of BLOCKS) {
    const plain = PLAIN_BLOCKS.includes(c.type ?? '');
    it(`${c.name}: ${plain ? 'the same record in a layout of safetensors' : 'refused with the reason'}`, async () => {
      const layer = await open(c);
      if (plain) {
        const checkpoint = await reopen(saveSafetensors({'blk.0': layer}));
        const again = await checkpoint.linear('blk.0');
        await expectSame(again, layer, c.name);
        await checkpoint.close();
        again.dispose();
      } else {
        expect(() => saveSafetensors({'blk.0': layer})).toThrowError(
          /'blk.0': expected a record that a safetensors layout can hold.*layer\.save/,
        );
      }
      layer.dispose();
    });
  }

  for (const mode of ['int8', 'int4', 'float8', 'float16', 'bfloat16'] as const) {
    it(`layers of quantizeModel, ${mode}`, async () => {
      const model = tf.sequential({layers: [tf.layers.dense({units: 12, inputShape: [40]}), tf.layers.dense({units: 5, useBias: false})]});
      const {model: small} = await quantizeModel(model, {mode, ...(mode.startsWith('int') ? {groupSize: 16} : {})});
      const [up, down] = small.layers as [Linear, Linear];
      const saved = saveSafetensors({up, 'mlp.down': down});
      const checkpoint = await reopen(saved);
      const again = [await checkpoint.linear('up'), await checkpoint.linear('mlp.down')] as const;
      await expectSame(again[0], up, 'up');
      await expectSame(again[1], down, 'down');
      const method = (saved.config.quantization_config as {quant_method?: string} | undefined)?.quant_method;
      expect(method).toBe(mode.endsWith('16') ? undefined : 'compressed-tensors');
      await checkpoint.close();
      for (const m of [model, small, ...again]) m.dispose();
    });
  }

  it('float32 layers, biased or not, and a trained bias of a 16-bit file', async () => {
    const [plain, biased] = [new Linear({inDim: 6, outDim: 4}), new Linear({inDim: 6, outDim: 4, hasBias: true})];
    const checkpoint = await reopen(saveSafetensors({plain, biased}));
    expect(checkpoint.quantization).toBeNull();
    expect(await take(await checkpoint.tensor('plain.weight'))).toEqual(await take(plain.weight.dequantize()));
    const half = new Linear({inDim: 6, outDim: 4, hasBias: true, dtype: 'float16'});
    const loaded = await (await reopen(saveSafetensors({half}))).linear('half');
    expect(loaded.origin?.parts[0]?.origin.details).toEqual({dtype: 'F16'});
    const bias = tf.tensor1d([0.1, 0.2, 0.3, 0.4]);
    loaded.loadStateDict({weight: (loaded.weight as QuantizedWeight).words, bias});
    const second = await reopen(saveSafetensors({half: loaded}));
    expect(await take(await second.tensor('half.bias'))).toEqual(Array.from(Float32Array.of(0.1, 0.2, 0.3, 0.4)));
    expect(second.info('half.weight').dtype).toBe('F16');
    bias.dispose();
    for (const l of [plain, biased, half, loaded]) l.dispose();
  });

  it('an MLP: gate and up are apart again', async () => {
    const c = CASES.find((entry) => entry.name === 'gptq_b4_g32_sym_v1') as Case;
    const {files} = await filesOf(c);
    const first = await openCheckpoint(files);
    const one = await first.linear(c.module);
    const down = new Linear({inDim: one.outDim, outDim: one.inDim});
    const {config} = saveSafetensors({x: one});
    // One weight as gate and up, and a float one as down.
    const parts = saveSafetensors({'mlp.gate_proj': one, 'mlp.up_proj': one, 'mlp.down_proj': down});
    expect(parts.config).toEqual(config);
    const checkpoint = await reopen(parts);
    const mlp = await checkpoint.mlp('mlp');
    expect(mlp.gateUp?.outDim).toBe(2 * one.outDim);
    const saved = saveSafetensors({mlp});
    expect(saved.bytes).toEqual(parts.bytes);
    const loaded = (await saveAndLoad(mlp)) as MLP;
    expect(saveSafetensors({mlp: loaded}).bytes).toEqual(parts.bytes);
    for (const l of [one, down, mlp, loaded]) l.dispose();
    await first.close();
    await checkpoint.close();
  });

  it('rows in another order keep the layout; fewer rows and stacked layers get a standard one', async () => {
    const c = CASES.find((entry) => entry.name === 'gptq_b4_g32_sym_v1') as Case;
    const checkpoint = await openCheckpoint((await filesOf(c)).files);
    const n = c.outDim;
    const reversed = await checkpoint.linear(c.module, {rows: Array.from({length: n}, (_, i) => n - 1 - i)});
    const few = await checkpoint.linear(c.module, {rows: [5, 2, 7]});
    const both = (await checkpoint.stacked([c.module, c.module])) as Linear;
    const method = (saved: SavedFile) => (saved.config.quantization_config as {quant_method?: string}).quant_method;
    for (const [layer, expected] of [
      [reversed, 'gptq'],
      [few, 'compressed-tensors'],
      [both, 'compressed-tensors'],
    ] as const) {
      const saved = saveSafetensors({layer});
      expect(method(saved)).toBe(expected);
      const second = await reopen(saved);
      const again = await second.linear('layer');
      await expectSame(again, layer, expected);
      again.dispose();
      layer.dispose();
    }
    await checkpoint.close();
  });

  it('8-bit float layers of a Float8Config, with their rounding of x', async () => {
    const dynamic = new Linear({
      inDim: 8,
      outDim: 3,
      float8Config: {
        inputScale: {granularity: Float8ScaleGranularity.COLWISE, origin: Float8ScaleOrigin.DYNAMIC},
        weightScale: {granularity: Float8ScaleGranularity.ROWWISE},
      },
    });
    const fixed = new Linear({
      inDim: 8,
      outDim: 3,
      float8Config: {
        inputScale: {granularity: Float8ScaleGranularity.TENSOR, origin: Float8ScaleOrigin.STATIC},
        weightScale: {granularity: Float8ScaleGranularity.TENSOR},
      },
    });
    const x = randomTensor([2, 8]);
    const weight = tf.tensor2d(
      Array.from({length: 24}, (_, i) => i * 3),
      [3, 8],
      'int32',
    );
    const scales = [tf.tensor1d([0.5, 0.25, 2]), tf.scalar(0.5), tf.scalar(0.02)];
    dynamic.loadStateDict({weight, weight_scale: scales[0] as tf.Tensor});
    fixed.loadStateDict({weight, weight_scale: scales[1] as tf.Tensor, input_scale: scales[2] as tf.Tensor});
    const checkpoint = await reopen(saveSafetensors({dynamic, fixed}));
    for (const layer of [dynamic, fixed]) {
      const again = await checkpoint.linear(layer === fixed ? 'fixed' : 'dynamic');
      expect(await take(again.forward(x))).toEqual(await take(layer.forward(x)));
      again.dispose();
      layer.dispose();
    }
    tf.dispose([x, weight, scales]);
    await checkpoint.close();
  });

  it('refuses layers whose configs differ, and what is no layer', async () => {
    const named = (name: string) => open(CASES.find((entry) => entry.name === name) as Case);
    const [a, b] = [await named('gptq_b4_g32_sym_v1'), await named('gptq_b4_g128_sym_v1_bias')];
    expect(() => saveSafetensors({a, b})).toThrowError(/'b': expected the quantisation config of 'a': a file has one.*different files/);
    expect(() => saveSafetensors({a: {} as Linear})).toThrowError(/'a': expected a Linear or an MLP/);
    a.dispose();
    b.dispose();
  });
});
