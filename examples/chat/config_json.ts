/** LlamaConfig from a config.json of transformers 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`). */
import {type Activation, type LlamaConfig, type RopeScaling, Settings} from './config.js';

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
};

/** transformers' own default for a Llama config without the key. */
const DEFAULT_THETA = 10_000;

export function configFromJson(values: Readonly<Record<string, unknown>>): LlamaConfig {
  const config = new Settings(values, 'config.json');
  const type = config.get('model_type');
  if (type !== 'llama' && type !== 'mistral') throw config.error('model_type', 'llama or mistral', type);
  // Settings that Llama files of some makers have, each of which changes what a layer computes.
  config.only('sliding_window', []);
  config.only('partial_rotary_factor', [1]);
  config.only('no_rope_layers', []);
  const layerTypes = config.get('layer_types');
  if (Array.isArray(layerTypes) && layerTypes.some((kind) => kind !== 'full_attention')) {
    throw config.error('layer_types', 'full_attention in every layer', layerTypes);
  }
  const activation = ACTIVATIONS[String(config.get('hidden_act') ?? 'silu')];
  if (activation === undefined) throw config.error('hidden_act', `one of ${Object.keys(ACTIVATIONS).join(', ')}`, config.get('hidden_act'));
  const headCount = config.count('num_attention_heads');
  const hiddenDim = config.count('hidden_size');
  const contextLength = config.count('max_position_embeddings', 2048);
  return {
    hiddenDim,
    layerCount: config.count('num_hidden_layers'),
    headCount,
    keyHeadCount: config.count('num_key_value_heads', headCount),
    headDim: config.count('head_dim', hiddenDim / headCount),
    feedForwardLength: config.count('intermediate_size'),
    contextLength,
    activation,
    normEpsilon: config.number('rms_norm_eps', 1e-6),
    ...ropeOf(config, contextLength),
    tiedEmbedding: config.get('tie_word_embeddings') === true,
  };
}

function ropeOf(config: Settings, contextLength: number): {ropeTheta: number; ropeScaling: RopeScaling} {
  const parameters = config.get('rope_parameters') ?? config.get('rope_scaling') ?? {};
  if (typeof parameters !== 'object') throw config.error('rope_parameters', 'an object', parameters);
  const rope = new Settings(parameters as Record<string, unknown>, 'config.json: rope_parameters');
  rope.only('partial_rotary_factor', [1]);
  const ropeTheta = rope.number('rope_theta', config.number('rope_theta', DEFAULT_THETA));
  const kind = rope.get('rope_type') ?? rope.get('type') ?? 'default';
  switch (kind) {
    case 'default':
      return {ropeTheta, ropeScaling: {kind: 'none'}};
    case 'linear':
      return {ropeTheta, ropeScaling: {kind: 'linear', factor: rope.number('factor')}};
    case 'llama3':
      return {
        ropeTheta,
        ropeScaling: {
          kind: 'llama3',
          factor: rope.number('factor'),
          lowFrequencyFactor: rope.number('low_freq_factor'),
          highFrequencyFactor: rope.number('high_freq_factor'),
          originalContext: rope.count('original_max_position_embeddings', contextLength),
        },
      };
    default:
      throw rope.error('rope_type', 'default, linear or llama3', kind);
  }
}
