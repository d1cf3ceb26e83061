/** Modules and configs as tools of today write them, each named after the tool: read, or refused by name. */
import * as tf from '@tensorflow/tfjs';
import type {FileTensor, Module} from '../../src/formats/format.js';
import {FORMATS} from '../../src/formats/index.js';
import {ArgumentError, FileFormatError, openCheckpoint, ShapeError, UnsupportedError} from '../../src/index.js';
import {bytesOf, safetensorsFile} from '../io/bytes_support.js';
import {checkpointFiles} from './checkpoint_build.js';
import {f32, integers, moduleOf, seeded, tensor} from './packed_build.js';
import {compareTensors} from './packed_support.js';

const [N, K] = [8, 256];
const fp8Weight = tensor('F8_E4M3', [N, K], Uint8Array.from(integers(N * K, 126, seeded(1))));
const bf16 = (value: number): FileTensor => tensor('BF16', [], Uint16Array.of(new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16));
const plain = {weight: f32([2, 4], [1, 2, 3, 4, 5, 6, 7, 8])};

/** Lowered by the one format that knows it, and written again byte for byte. */
function roundTrip(module: Module): ReturnType<(typeof FORMATS)[number]['lower']> {
  const [format, ...others] = FORMATS.filter((f) => f.recognise(module));
  expect(others).toEqual([]);
  const lowered = format!.lower(module);
  expect(compareTensors(format!.raise(lowered), module.tensors)).toBe('equal');
  return lowered;
}

describe('files as tools write them', () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('transformers 5: every key of FineGrainedFP8Config.to_dict', () => {
    const quantization = {
      quant_method: 'fp8',
      modules_to_not_convert: ['lm_head'],
      modules_to_convert: ['model.embed_tokens'],
      activation_scheme: 'dynamic',
      weight_block_size: [128, 128],
      dequantize: false,
      scale_fmt: 'float',
      expert_dtype: 'fp8',
    };
    const {inputScheme} = roundTrip(moduleOf({weight: fp8Weight, weight_scale_inv: f32([1, 2], [0.5, 2])}, quantization));
    expect(inputScheme).toEqual(jasmine.objectContaining({origin: 'dynamic', granularity: 'group', groupSize: 128}));
  });

  it('transformers, as Ministral 3: activation_scale is the static scale of x, beside one weight_scale_inv', () => {
    const quantization = {activation_scheme: 'static', dequantize: false, quant_method: 'fp8', weight_block_size: null};
    const tensors = {weight: fp8Weight, weight_scale_inv: bf16(0.25), activation_scale: bf16(0.5)};
    const {inputScheme, layout} = roundTrip(moduleOf(tensors, quantization));
    expect(inputScheme).toEqual({dtype: 'float8_e4m3fn', origin: 'static', granularity: 'tensor', scale: 0.5});
    expect(layout.scales).toEqual([jasmine.objectContaining({type: 'bfloat16', divide: false})]);
    const both = moduleOf({...tensors, input_scale: f32([], [1])}, quantization);
    expect(() => roundTrip(both)).toThrowError(UnsupportedError, /input_scale and activation_scale/);
  });

  it('Model Optimizer: scales of a cache of keys and values under k_proj and v_proj are no part of the product', () => {
    const quantization = {quant_method: 'modelopt', quant_algo: 'FP8', kv_cache_quant_algo: 'FP8', ignore: ['lm_head']};
    const own = {weight: fp8Weight, weight_scale: f32([], [0.5]), input_scale: f32([], [0.25])};
    const bare = roundTrip(moduleOf(own, quantization, 'model.layers.0.self_attn.k_proj'));
    for (const [projection, name] of [
      ['k_proj', 'k_scale'],
      ['v_proj', 'v_scale'],
    ] as const) {
      const module = moduleOf({...own, [name]: f32([], [3])}, quantization, `model.layers.0.self_attn.${projection}`);
      const {layout, words, inputScheme} = roundTrip(module);
      expect({layout, words, inputScheme}).toEqual({layout: bare.layout, words: bare.words, inputScheme: bare.inputScheme});
      expect(() => roundTrip(moduleOf({...own, [name]: f32([2], [3, 3])}, quantization))).toThrowError(FileFormatError, /_scale/);
    }
    // The attention of a model whose MLPs alone are in 4 bits stays as it was, and its cache is in 8.
    roundTrip(moduleOf({...plain, k_scale: f32([1], [0.5])}, {...quantization, quant_algo: 'NVFP4'}, 'model.layers.0.self_attn.k_proj'));
    const nvfp4 = {
      weight: tensor('U8', [2, 8], Uint8Array.from(integers(16, 256, seeded(2)))),
      weight_scale: tensor('F8_E4M3', [2, 1], Uint8Array.of(0x38, 0x40)),
      weight_scale_2: f32([], [0.5]),
      v_scale: f32([], [2]),
    };
    roundTrip(moduleOf(nvfp4, {...quantization, quant_algo: 'NVFP4'}));
  });

  it('methods that we do not read are refused by name, with no name for another', () => {
    const gptq = {
      qweight: tensor('I32', [4, 8], new Int32Array(32)),
      scales: tensor('F16', [1, 8], new Uint16Array(8)),
      qzeros: tensor('I32', [1, 1], new Int32Array(1)),
    };
    for (const method of ['auto-round', 'bitsandbytes', 'hqq', 'quanto', 'eetq', 'aqlm', 'torchao', 'constructor', '__proto__']) {
      const module = moduleOf(gptq, {quant_method: method, bits: 4, group_size: -1, sym: true});
      const [format] = FORMATS.filter((f) => f.recognise(module));
      const refused = expect(() => format!.validate(module)).withContext(method);
      refused.toThrowError(UnsupportedError, new RegExp(`Received: '${method}'\\. docs`));
    }
  });

  it('BitNet b1.58 in bfloat16: floats that the model rounds as it runs are not read as its weights', async () => {
    const quantization = {
      quant_method: 'bitnet',
      linear_class: 'autobitlinear',
      quantization_mode: 'online',
      modules_to_not_convert: ['gate'],
    };
    const linear = moduleOf(plain, quantization, 'model.layers.0.mlp.up_proj');
    expect(() => FORMATS.find((f) => f.recognise(linear))!.validate(linear)).toThrowError(
      UnsupportedError,
      /up_proj\.weight.*'bitnet'.*TQ1_0/,
    );
    const unlisted = moduleOf(plain, {...quantization, modules_to_not_convert: 'gate'}, 'model.layers.0.gate');
    expect(() => FORMATS.find((f) => f.recognise(unlisted))!.validate(unlisted)).toThrowError(
      ArgumentError,
      /modules_to_not_convert: expected a list of strings/,
    );
    for (const name of ['lm_head', 'model.embed_tokens', 'model.layers.0.gate']) roundTrip(moduleOf(plain, quantization, name));
  });

  it('Mamba, Nemotron-H: numbers in config.json that Python writes and JSON does not have', async () => {
    const files = checkpointFiles(moduleOf(plain, null, 'up'));
    const text = '{"time_step_limit": [0.0, Infinity], "low": -Infinity, "eps": NaN, "note": "NaN \\" Infinity"}';
    const checkpoint = await openCheckpoint({...files, 'config.json': bytesOf(text)});
    expect(checkpoint.config).toEqual({time_step_limit: [0, Infinity], low: -Infinity, eps: null, note: 'NaN " Infinity'});
    await checkpoint.close();
    await expectAsync(openCheckpoint({...files, 'config.json': bytesOf('{"a": Nan}')})).toBeRejectedWithError(
      FileFormatError,
      /config\.json: expected JSON/,
    );
  });

  it('projections that make no MLP are refused before anything is allocated', async () => {
    const f = (rows: number, columns: number) => ({weight: f32([rows, columns], new Array(rows * columns).fill(1))});
    const before = tf.memory().numTensors;
    for (const [gate, up, down] of [
      [f(3, 4), f(2, 4), f(4, 2)],
      [f(2, 4), f(2, 5), f(4, 2)],
      [f(2, 4), f(2, 4), f(4, 3)],
      [f(2, 4), f(2, 4), f(5, 2)],
    ] as const) {
      const modules = [moduleOf(gate, null, 'm.gate_proj'), moduleOf(up, null, 'm.up_proj'), moduleOf(down, null, 'm.down_proj')];
      const checkpoint = await openCheckpoint(checkpointFiles(...modules));
      await expectAsync(checkpoint.mlp('m')).toBeRejectedWithError(ShapeError, /^m: expected gate and up \[F, H\] and down \[H, F\]/);
      await checkpoint.close();
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it('GPT-2: weights of Conv1D are [inputs, outputs], also where they are square', async () => {
    const square = {weight: f32([2, 2], [1, 2, 3, 4])};
    const names = ['h.0.attn.c_proj', 'h.0.mlp.c_fc', 'wte'];
    const files = checkpointFiles(...names.map((name) => moduleOf(square, null, name)));
    const open = (model_type: string) => openCheckpoint({...files, 'config.json': bytesOf(JSON.stringify({model_type}))});
    const gpt2 = await open('gpt2');
    for (const name of names.slice(0, 2)) {
      await expectAsync(gpt2.linear(name)).toBeRejectedWithError(UnsupportedError, /c_(proj|fc): expected .*a Conv1D of gpt2.*Transpose/);
    }
    (await gpt2.linear('wte')).dispose();
    await gpt2.close();
    // The same names, with weights as everybody else has them.
    const starcoder = await open('gpt_bigcode');
    (await starcoder.linear('h.0.mlp.c_fc')).dispose();
    await starcoder.close();
  });

  it('a tied output is said to lie in the embedding, and no module is suggested that is none', async () => {
    const checkpoint = await openCheckpoint(checkpointFiles(moduleOf(plain, null, 'model.embed_tokens'), moduleOf(plain, null, 'a')));
    await expectAsync(checkpoint.linear('lm_head')).toBeRejectedWithError(/tied to the embedding, ask for that/);
    await checkpoint.close();
    const number = {dtype: 'F32', shape: [1]};
    const header = {s: {...number, data_offsets: [0, 4]}, weight: {...number, data_offsets: [4, 8]}};
    const loose = await openCheckpoint({'model.safetensors': safetensorsFile(header, new Uint8Array(8))});
    for (const module of ['', 'weigh']) await expectAsync(loose.linear(module)).toBeRejectedWithError(/none of 2 names\. Check/);
    await loose.close();
  });
});
