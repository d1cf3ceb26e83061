/** What the parts of a Llama model are called in each kind of file. */
import type {LlamaConfig} from './config.js';

export interface Names {
  readonly embedding: string;
  readonly norm: string;
  readonly head: string;
  /** Prefix of the MLP's three projections. */
  mlp(layer: number): string;
  attentionNorm(layer: number): string;
  mlpNorm(layer: number): string;
  /** q, k and v, in this order. */
  qkv(layer: number): readonly [string, string, string];
  output(layer: number): string;
  /** Tensors that hold nothing which config and weights do not say. */
  readonly derived: RegExp;
}

export const NAMES: Readonly<Record<'safetensors' | 'gguf', Names>> = {
  safetensors: {
    embedding: 'model.embed_tokens',
    norm: 'model.norm.weight',
    head: 'lm_head',
    mlp: (i) => `model.layers.${i}.mlp`,
    attentionNorm: (i) => `model.layers.${i}.input_layernorm.weight`,
    mlpNorm: (i) => `model.layers.${i}.post_attention_layernorm.weight`,
    qkv: (i) => [`model.layers.${i}.self_attn.q_proj`, `model.layers.${i}.self_attn.k_proj`, `model.layers.${i}.self_attn.v_proj`],
    output: (i) => `model.layers.${i}.self_attn.o_proj`,
    derived: /\.rotary_emb\.inv_freq$/,
  },
  gguf: {
    embedding: 'token_embd',
    norm: 'output_norm.weight',
    head: 'output',
    mlp: (i) => `blk.${i}`,
    attentionNorm: (i) => `blk.${i}.attn_norm.weight`,
    mlpNorm: (i) => `blk.${i}.ffn_norm.weight`,
    qkv: (i) => [`blk.${i}.attn_q`, `blk.${i}.attn_k`, `blk.${i}.attn_v`],
    output: (i) => `blk.${i}.attn_output`,
    derived: /(?!)/,
  },
};

/** Names of the local projections of an MLP, which lie under its prefix among others in GGUF. */
export const MLP_PARTS: Readonly<Record<'safetensors' | 'gguf', readonly string[]>> = {
  safetensors: ['gate_proj', 'up_proj', 'down_proj'],
  gguf: ['ffn_gate', 'ffn_up', 'ffn_down'],
};

/**
 * GGUF files of Llama models hold rows of q and k as (head, j, half), for a rotary embedding of neighbours; the model's own order,
 * for the half-split form, is (head, half, j). The result says which file row becomes each row of q, k and v stacked.
 */
export function halfSplitRows({headCount, keyHeadCount, headDim}: LlamaConfig): {q: number[]; k: number[]; stacked: number[]} {
  const rowsOf = (heads: number): number[] =>
    Array.from({length: heads * headDim}, (_, row) => {
      const within = row % headDim;
      const half = within < headDim / 2 ? 0 : 1;
      return row - within + (within - (half * headDim) / 2) * 2 + half;
    });
  const [q, k] = [rowsOf(headCount), rowsOf(keyHeadCount)];
  const v = Array.from({length: keyHeadCount * headDim}, (_, row) => q.length + k.length + row);
  return {q, k, stacked: [...q, ...k.map((row) => q.length + row), ...v]};
}
