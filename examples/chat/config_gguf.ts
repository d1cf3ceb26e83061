/** LlamaConfig from GGUF metadata. Source: the llama.* keys of the GGUF specification. */
import {type LlamaConfig, type RopeScaling, Settings} from './config.js';

/** GGUF's default where the key is absent. */
const DEFAULT_THETA = 10_000;

/** Keys of Llama files that change what a layer computes, with the values that do not. */
const HARMLESS: Readonly<Record<string, readonly unknown[]>> = {
  'llama.expert_count': [0],
  'llama.attention.sliding_window': [0],
  'llama.attention.scale': [0],
  'llama.attention.clamp_kqv': [0],
  'llama.attention.max_alibi_bias': [0],
  'llama.logit_scale': [0],
  'llama.residual_scale': [0],
  'llama.embedding_scale': [0],
};

/** @param names tensor names: a file without `output.weight` uses its embedding for the output */
export function configFromGguf(metadata: Readonly<Record<string, unknown>>, names: readonly string[]): LlamaConfig {
  const config = new Settings(metadata, 'GGUF metadata');
  const architecture = config.get('general.architecture');
  if (architecture !== 'llama') throw config.error('general.architecture', 'llama', architecture);
  for (const [key, values] of Object.entries(HARMLESS)) config.only(key, values);
  const hiddenDim = config.count('llama.embedding_length');
  const headCount = config.count('llama.attention.head_count');
  const headDim = config.count('llama.attention.key_length', hiddenDim / headCount);
  config.only('llama.attention.value_length', [headDim]);
  config.only('llama.rope.dimension_count', [headDim]);
  return {
    hiddenDim,
    layerCount: config.count('llama.block_count'),
    headCount,
    keyHeadCount: config.count('llama.attention.head_count_kv', headCount),
    headDim,
    feedForwardLength: config.count('llama.feed_forward_length'),
    contextLength: config.count('llama.context_length'),
    activation: 'silu',
    normEpsilon: config.number('llama.attention.layer_norm_rms_epsilon'),
    ropeTheta: config.number('llama.rope.freq_base', DEFAULT_THETA),
    ropeScaling: scalingOf(config),
    tiedEmbedding: !names.includes('output.weight'),
  };
}

function scalingOf(config: Settings): RopeScaling {
  // Files from before llama.rope.scaling.* have scale_linear.
  const linear = config.number('llama.rope.scale_linear', 1);
  const kind = config.get('llama.rope.scaling.type') ?? (linear === 1 ? 'none' : 'linear');
  if (kind === 'none') return {kind};
  if (kind === 'linear') return {kind, factor: config.number('llama.rope.scaling.factor', linear)};
  throw config.error('llama.rope.scaling.type', 'none or linear', kind);
}
