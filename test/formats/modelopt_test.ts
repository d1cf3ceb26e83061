/** hf_quant_config.json of NVIDIA Model Optimizer: read where config.json says nothing, its exclusions kept, other algorithms refused by name. */
import * as tf from '@tensorflow/tfjs';
import {decodeTable} from '../../kernels/float_codes.js';
import type {FileTensor} from '../../src/formats/format.js';
import {ArgumentError, type Checkpoint, openCheckpoint, type TfjsLinearError, UnsupportedError} from '../../src/index.js';
import {jsonBytes} from '../support/files.js';
import {checkpointFiles} from './checkpoint_build.js';
import {f32, integers, moduleOf, seeded, tensor} from './packed_build.js';

const PRODUCER = {name: 'modelopt', version: '0.29.0'};
const [N, K] = [3, 48];
const codes = Uint8Array.from(integers(N * K, 126, seeded(1)));
const nibbles = Uint8Array.from(integers((N * K) / 2, 256, seeded(2)));
const scaleCodes = Uint8Array.from(integers((N * K) / 16, 60, seeded(3)), (v) => v + 8);

const fp8: Record<string, FileTensor> = {
  weight: tensor('F8_E4M3', [N, K], codes),
  weight_scale: f32([], [0.5]),
  input_scale: f32([], [0.25]),
};
const nvfp4: Record<string, FileTensor> = {
  weight: tensor('U8', [N, K / 2], nibbles),
  weight_scale: tensor('F8_E4M3', [N, K / 16], scaleCodes),
  weight_scale_2: f32([], [0.5]),
  input_scale: f32([], [0.125]),
};
const plain = {weight: f32([N, K], Array.from(codes))};

/** Modules by name, in one file, beside hf_quant_config.json. */
function open(modules: Readonly<Record<string, Record<string, FileTensor>>>, quantization: unknown, inside = null): Promise<Checkpoint> {
  const files = checkpointFiles(...Object.entries(modules).map(([name, tensors]) => moduleOf(tensors, inside, name)));
  return openCheckpoint({...files, 'hf_quant_config.json': jsonBytes({producer: PRODUCER, quantization})});
}

/** The weight of a module, and how x is rounded. */
async function read(checkpoint: Checkpoint, module: string): Promise<{values: number[]; rounding: unknown}> {
  const layer = await checkpoint.linear(module);
  const values = layer.weight.dequantize();
  const result = {values: Array.from(values.dataSync()), rounding: layer.inputQuantization};
  values.dispose();
  layer.dispose();
  return result;
}

async function refusal(tensors: Record<string, FileTensor>, quantization: unknown): Promise<TfjsLinearError> {
  const checkpoint = await open({up: tensors}, quantization);
  return checkpoint.linear('up').then(
    () => fail(JSON.stringify(quantization)) as never,
    (error: TfjsLinearError) => error,
  );
}

describe('hf_quant_config.json', () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('FP8: one scale of the weight, one of x', async () => {
    const checkpoint = await open({up: fp8}, {quant_algo: 'FP8', kv_cache_quant_algo: 'FP8', exclude_modules: ['lm_head']});
    expect(checkpoint.quantization).toEqual({
      quant_method: 'modelopt',
      quant_algo: 'FP8',
      kv_cache_quant_algo: 'FP8',
      exclude_modules: ['lm_head'],
    });
    const {values, rounding} = await read(checkpoint, 'up');
    expect(values).toEqual(Array.from(codes, (code) => 0.5 * (decodeTable('float8_e4m3fn')[code] as number)));
    expect(rounding).toEqual(jasmine.objectContaining({dtype: 'float8_e4m3fn', origin: 'static', granularity: 'tensor', scale: 0.25}));
  });

  it('NVFP4: 16 values a scale, and a multiplier; W4A16_NVFP4 leaves x as it is', async () => {
    const [magnitudes, scales] = [decodeTable('float4_e2m1fn'), decodeTable('float8_e4m3fn')];
    const expected = Array.from({length: N * K}, (_, i) => {
      const code = ((nibbles[i >> 1] as number) >> (4 * (i & 1))) & 15;
      const scale = Math.fround((scales[scaleCodes[Math.floor(i / 16)] as number] as number) * 0.5);
      return Math.fround((magnitudes[code] as number) * scale);
    });
    for (const quant_algo of ['NVFP4', 'W4A16_NVFP4']) {
      const checkpoint = await open({up: nvfp4}, {quant_algo, group_size: 16, kv_cache_quant_algo: null});
      const {values, rounding} = await read(checkpoint, 'up');
      expect(values.map((v) => v + 0)).toEqual(expected.map((v) => v + 0));
      if (quant_algo === 'NVFP4') expect(rounding).toEqual(jasmine.objectContaining({dtype: 'float4_e2m1fn', block: 16, globalScale: 8}));
      else expect(rounding).toBeNull();
    }
  });

  it('is not asked where config.json says how', async () => {
    const files = checkpointFiles(moduleOf(fp8, {quant_method: 'modelopt', quant_algo: 'FP8'}, 'up'));
    const checkpoint = await openCheckpoint({...files, 'hf_quant_config.json': jsonBytes({quantization: {quant_algo: 'W4A16_AWQ'}})});
    expect(checkpoint.quantization?.quant_algo).toBe('FP8');
    await read(checkpoint, 'up');
  });

  it('what it excludes is plain: by name, by prefix and by wildcard', async () => {
    const exclude_modules = ['lm_head', 'model.layers.0.self_attn*', 'model.layers.1.*', '*.router', 'blocks.?'];
    const excluded = ['lm_head', 'model.layers.0.self_attn.q_proj', 'model.layers.0.self_attn2', 'model.layers.1.mlp.up', 'a.b.router'];
    excluded.push('blocks.7');
    const kept = ['lm_head2', 'model.layers.0.mlp.self_attn', 'model.layers.10.mlp.up', 'a.router.b', 'model_layers.1.up', 'blocks.12'];
    const modules = Object.fromEntries([...excluded, ...kept].map((name) => [name, fp8]));
    const quantised = await open(modules, {quant_algo: 'FP8', exclude_modules});
    for (const name of kept)
      expect((await read(quantised, name)).values.length)
        .withContext(name)
        .toBe(N * K);
    for (const name of excluded) {
      await expectAsync(quantised.linear(name))
        .withContext(name)
        .toBeRejectedWithError(UnsupportedError, /leaves this module unquantised/);
    }
    const floats = await open(Object.fromEntries(excluded.map((name) => [name, plain])), {quant_algo: 'NVFP4', exclude_modules});
    for (const name of excluded) expect(await read(floats, name)).toEqual({values: Array.from(codes), rounding: null});
    const inside = checkpointFiles(moduleOf(nvfp4, {quant_method: 'modelopt', quant_algo: 'NVFP4', ignore: ['up*']}, 'up_proj'));
    await expectAsync((await openCheckpoint(inside)).linear('up_proj')).toBeRejectedWithError(UnsupportedError, /unquantised \('up\*'\)/);
  });

  it('other algorithms are refused, with quant_algo', async () => {
    const awq = {
      weight: tensor('U8', [1, K], nibbles.slice(0, K)),
      weight_scale: tensor('BF16', [2, 3], new Uint16Array(6).fill(0x3f80)),
      pre_quant_scale: tensor('BF16', [K], new Uint16Array(K).fill(0x3f80)),
    };
    const cases: [Record<string, FileTensor>, Record<string, unknown>][] = [
      [awq, {quant_algo: 'W4A16_AWQ', group_size: 16, has_zero_point: false, pre_quant_scale: true}],
      [
        {...nvfp4, pre_quant_scale: f32([K], Array(K).fill(1))},
        {quant_algo: 'NVFP4_AWQ', group_size: 16, pre_quant_scale: true},
      ],
      [{...fp8, weight_scale: f32([1, 1, 1, 1], [1])}, {quant_algo: 'FP8_PB_WO'}],
      [{...fp8, weight_scale: f32([N], [1, 2, 3])}, {quant_algo: 'FP8_PER_CHANNEL_PER_TOKEN'}],
      [fp8, {quant_algo: 'MIXED_PRECISION', quantized_layers: {up: {quant_algo: 'FP8'}}}],
      [nvfp4, {quant_algo: 'FP8'}],
      [fp8, {quant_algo: null}],
    ];
    for (const [tensors, quantization] of cases) {
      const error = await refusal(tensors, quantization);
      expect(error).toBeInstanceOf(UnsupportedError);
      expect(error.message).toContain(String(quantization.quant_algo));
      expect(error.message).toContain('quant_algo');
    }
    expect((await refusal(nvfp4, {quant_algo: 'NVFP4', group_size: 32})).message).toMatch(/up: group_size: expected 16 with NVFP4.*32/);
    expect((await refusal(fp8, {quant_algo: 'FP8', scales: 'e8m0'})).message).toMatch(/scales.*a key we know/);
  });

  it('that is no config is refused when the checkpoint is opened', async () => {
    await expectAsync(open({up: fp8}, null)).toBeRejectedWithError(ArgumentError, /hf_quant_config\.json: quantization.*null/);
    const files = checkpointFiles(moduleOf(fp8, null, 'up'));
    const other = openCheckpoint({...files, 'hf_quant_config.json': jsonBytes({quantisation: {}})});
    await expectAsync(other).toBeRejectedWithError(UnsupportedError, /hf_quant_config\.json\.quantisation.*Did you mean 'quantization'/);
  });
});
