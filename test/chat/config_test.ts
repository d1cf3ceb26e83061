import {MissingError, openCheckpoint, UnsupportedError} from 'tfjs-linear';
import {configOf, type LlamaConfig} from '../../examples/chat/config.js';
import {configFromGguf} from '../../examples/chat/config_gguf.js';
import {configFromJson} from '../../examples/chat/config_json.js';
import {TinyLlama} from './tiny_llama.js';

const SMOLLM2: LlamaConfig = {
  hiddenDim: 576,
  layerCount: 30,
  headCount: 9,
  keyHeadCount: 3,
  headDim: 64,
  feedForwardLength: 1536,
  contextLength: 8192,
  activation: 'silu',
  normEpsilon: 1e-5,
  ropeTheta: 100_000,
  ropeScaling: {kind: 'none'},
  tiedEmbedding: true,
};

const JSON_BASE = {
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 576,
  intermediate_size: 1536,
  max_position_embeddings: 8192,
  num_attention_heads: 9,
  num_hidden_layers: 30,
  num_key_value_heads: 3,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};

const GGUF = {
  'general.architecture': 'llama',
  'llama.block_count': 30,
  'llama.context_length': 8192n,
  'llama.embedding_length': 576,
  'llama.feed_forward_length': 1536,
  'llama.attention.head_count': 9,
  'llama.attention.head_count_kv': 3,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
  'llama.rope.freq_base': 100_000,
  'llama.rope.dimension_count': 64,
};

describe('config of a Llama model', () => {
  it('is the same from transformers 4, transformers 5 and GGUF', () => {
    expect(configFromJson({...JSON_BASE, torch_dtype: 'bfloat16', rope_theta: 100_000, rope_scaling: null})).toEqual(SMOLLM2);
    expect(configFromJson({...JSON_BASE, dtype: 'bfloat16', rope_parameters: {rope_theta: 100_000, rope_type: 'default'}})).toEqual(
      SMOLLM2,
    );
    expect(configFromGguf(GGUF, ['token_embd.weight'])).toEqual(SMOLLM2);
    expect(configFromGguf(GGUF, ['token_embd.weight', 'output.weight']).tiedEmbedding).toBe(false);
  });

  it('has the defaults of its file', () => {
    const {num_key_value_heads: _, rms_norm_eps: _e, max_position_embeddings: _m, tie_word_embeddings: _t, ...rest} = JSON_BASE;
    const config = configFromJson(rest);
    expect([config.keyHeadCount, config.normEpsilon, config.contextLength, config.tiedEmbedding, config.ropeTheta]).toEqual([
      9,
      1e-6,
      2048,
      false,
      10_000,
    ]);
  });

  it('reads stretched rotary angles in either spelling', () => {
    expect(configFromJson({...JSON_BASE, rope_scaling: {type: 'linear', factor: 2}}).ropeScaling).toEqual({kind: 'linear', factor: 2});
    const llama3 = {rope_type: 'llama3', factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192};
    expect(configFromJson({...JSON_BASE, rope_theta: 500_000, rope_scaling: llama3}).ropeScaling).toEqual({
      kind: 'llama3',
      factor: 32,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalContext: 8192,
    });
    const gguf = {...GGUF, 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 2};
    expect(configFromGguf(gguf, []).ropeScaling).toEqual({kind: 'linear', factor: 2});
  });

  for (const [key, value] of Object.entries({
    'general.architecture': 'qwen2',
    'llama.expert_count': 8,
    'llama.attention.head_count_kv': [3, 3],
    'llama.rope.dimension_count': 32,
    'llama.rope.scaling.type': 'yarn',
    'llama.attention.sliding_window': 1024,
  })) {
    it(`refuses ${key} ${JSON.stringify(value)} of GGUF by name`, () => {
      expect(() => configFromGguf({...GGUF, [key]: value}, [])).toThrowError(UnsupportedError, new RegExp(key.replaceAll('.', '\\.')));
    });
  }

  it('refuses layers of several kinds, and counts that are none', () => {
    const layers = {layer_types: ['full_attention', 'sliding_attention']};
    expect(() => configFromJson({...JSON_BASE, ...layers})).toThrowError(UnsupportedError, /layer_types/);
    expect(() => configFromJson({...JSON_BASE, num_hidden_layers: 2.5})).toThrowError(UnsupportedError, /num_hidden_layers/);
    expect(() => configFromJson({...JSON_BASE, hidden_size: 'big'})).toThrowError(UnsupportedError, /hidden_size/);
  });

  it('refuses heads of q that heads of k do not divide, and weights without a config', async () => {
    const tiny = new TinyLlama();
    const uneven = await openCheckpoint(tiny.files({num_key_value_heads: 3}));
    expect(() => configOf(uneven)).toThrowError(UnsupportedError, /4 over 3 heads/);
    await uneven.close();
    const {'model.safetensors': weights} = tiny.files();
    const bare = await openCheckpoint({'model.safetensors': weights as Uint8Array});
    expect(() => configOf(bare)).toThrowError(MissingError, /config\.json/);
    await bare.close();
  });
});
