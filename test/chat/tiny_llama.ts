/** A Llama of a few numbers: its files, and what it computes, in plain loops and float64. */
import {writeSafetensors} from '../../src/io/safetensors_writer.js';
import {jsonBytes} from '../support/files.js';

export interface TinyConfig {
  hiddenDim: number;
  layerCount: number;
  headCount: number;
  keyHeadCount: number;
  headDim: number;
  feedForwardLength: number;
  vocabulary: number;
  tied: boolean;
  /** Bias on q, k and v. */
  attentionBias: boolean;
}

export const TINY: TinyConfig = {
  hiddenDim: 24,
  layerCount: 2,
  headCount: 4,
  keyHeadCount: 2,
  headDim: 6,
  feedForwardLength: 40,
  vocabulary: 50,
  tied: true,
  attentionBias: false,
};
const EPSILON = 1e-5;
const THETA = 500;

export class TinyLlama {
  readonly tensors = new Map<string, {shape: number[]; values: Float32Array}>();

  constructor(readonly config: TinyConfig = TINY) {
    const {hiddenDim, headDim, headCount, keyHeadCount, feedForwardLength, vocabulary} = config;
    this.add('model.embed_tokens.weight', [vocabulary, hiddenDim], 1);
    this.add('model.norm.weight', [hiddenDim], 0.3, 1);
    if (!config.tied) this.add('lm_head.weight', [vocabulary, hiddenDim], 1);
    for (let i = 0; i < config.layerCount; i++) {
      const layer = `model.layers.${i}`;
      this.add(`${layer}.input_layernorm.weight`, [hiddenDim], 0.3, 1);
      this.add(`${layer}.post_attention_layernorm.weight`, [hiddenDim], 0.3, 1);
      for (const [name, heads] of Object.entries({q: headCount, k: keyHeadCount, v: keyHeadCount})) {
        this.add(`${layer}.self_attn.${name}_proj.weight`, [heads * headDim, hiddenDim], 0.5);
        if (config.attentionBias) this.add(`${layer}.self_attn.${name}_proj.bias`, [heads * headDim], 0.5);
      }
      this.add(`${layer}.self_attn.o_proj.weight`, [hiddenDim, headCount * headDim], 0.5);
      this.add(`${layer}.mlp.gate_proj.weight`, [feedForwardLength, hiddenDim], 0.5);
      this.add(`${layer}.mlp.up_proj.weight`, [feedForwardLength, hiddenDim], 0.5);
      this.add(`${layer}.mlp.down_proj.weight`, [hiddenDim, feedForwardLength], 0.5);
    }
  }

  /** What `openCheckpoint` takes. `extra` tensors are added to the file, `settings` to config.json. */
  files(settings: Record<string, unknown> = {}, extra: Record<string, number[]> = {}): Record<string, Uint8Array> {
    const {config} = this;
    const tensors = [...this.tensors].map(([name, {shape, values}]) => ({
      name,
      dtype: 'F32' as const,
      shape,
      data: new Uint8Array(values.buffer),
    }));
    for (const [name, values] of Object.entries(extra)) {
      tensors.push({name, dtype: 'F32', shape: [values.length], data: new Uint8Array(Float32Array.from(values).buffer)});
    }
    const json = {
      model_type: 'llama',
      hidden_size: config.hiddenDim,
      num_hidden_layers: config.layerCount,
      num_attention_heads: config.headCount,
      num_key_value_heads: config.keyHeadCount,
      head_dim: config.headDim,
      intermediate_size: config.feedForwardLength,
      max_position_embeddings: 512,
      rms_norm_eps: EPSILON,
      rope_parameters: {rope_type: 'default', rope_theta: THETA},
      tie_word_embeddings: config.tied,
      ...settings,
    };
    return {'model.safetensors': writeSafetensors(tensors), 'config.json': jsonBytes(json)};
  }

  /** Logits after each of the ids: [M][V]. */
  logits(ids: readonly number[]): number[][] {
    const {config} = this;
    let states = ids.map((id) => this.row('model.embed_tokens.weight', id));
    for (let i = 0; i < config.layerCount; i++) {
      const layer = `model.layers.${i}`;
      const attended = this.attention(
        `${layer}.self_attn`,
        states.map((x) => this.norm(`${layer}.input_layernorm.weight`, x)),
      );
      states = states.map((x, m) => plus(x, attended[m] as number[]));
      const mlp = (x: number[]): number[] => {
        const up = this.linear(`${layer}.mlp.up_proj`, x);
        const gated = this.linear(`${layer}.mlp.gate_proj`, x).map((g, j) => (g / (1 + Math.exp(-g))) * (up[j] as number));
        return this.linear(`${layer}.mlp.down_proj`, gated);
      };
      states = states.map((x) => plus(x, mlp(this.norm(`${layer}.post_attention_layernorm.weight`, x))));
    }
    const head = config.tied ? 'model.embed_tokens' : 'lm_head';
    return states.map((x) => this.linear(head, this.norm('model.norm.weight', x)));
  }

  private attention(prefix: string, states: readonly number[][]): number[][] {
    const {headCount, keyHeadCount, headDim} = this.config;
    const heads = (name: string, turned: boolean): number[][][] =>
      states.map((x, position) => {
        const all = this.linear(`${prefix}.${name}_proj`, x);
        const cut = Array.from({length: all.length / headDim}, (_, h) => all.slice(h * headDim, (h + 1) * headDim));
        return turned ? cut.map((head) => rotateHalf(head, position)) : cut;
      });
    const [q, k, v] = [heads('q', true), heads('k', true), heads('v', false)];
    return states.map((_, m) => {
      const mixed = Array.from({length: headCount}, (_, h) => {
        const group = Math.floor(h / (headCount / keyHeadCount));
        const scores = states
          .slice(0, m + 1)
          .map((_, t) => Math.exp(dot(q[m]?.[h] as number[], k[t]?.[group] as number[]) / Math.sqrt(headDim)));
        const sum = scores.reduce((a, b) => a + b, 0);
        return Array.from({length: headDim}, (_, d) =>
          scores.reduce((a, score, t) => a + (score / sum) * (v[t]?.[group]?.[d] as number), 0),
        );
      });
      return this.linear(`${prefix}.o_proj`, mixed.flat());
    });
  }

  private linear(module: string, x: readonly number[]): number[] {
    const {shape} = this.tensor(`${module}.weight`);
    const bias = this.tensors.get(`${module}.bias`);
    return Array.from({length: shape[0] as number}, (_, n) => dot(this.row(`${module}.weight`, n), x) + (bias?.values[n] ?? 0));
  }

  private norm(name: string, x: readonly number[]): number[] {
    const {values} = this.tensor(name);
    const size = Math.sqrt(dot(x, x) / x.length + EPSILON);
    return x.map((value, i) => (value / size) * (values[i] as number));
  }

  private row(name: string, n: number): number[] {
    const {shape, values} = this.tensor(name);
    const width = shape[1] as number;
    return Array.from(values.subarray(n * width, (n + 1) * width));
  }

  private tensor(name: string): {shape: number[]; values: Float32Array} {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new Error(`no ${name}`);
    return tensor;
  }

  private add(name: string, shape: number[], size: number, middle = 0): void {
    const seed = this.tensors.size + 1;
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({length: count}, (_, i) => middle + size * Math.sin(i * 12.9898 * seed + seed));
    this.tensors.set(name, {shape, values});
  }
}

function rotateHalf(x: readonly number[], position: number): number[] {
  const half = x.length / 2;
  return x.map((value, i) => {
    const angle = position * THETA ** ((-2 * (i % half)) / x.length);
    const other = i < half ? -(x[i + half] as number) : (x[i - half] as number);
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
const plus = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value + (b[i] as number));
