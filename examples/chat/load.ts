/** Builds the model from a checkpoint: every tensor in it is used, or loading stops. */
import * as tf from '@tensorflow/tfjs';
import {type Checkpoint, DistributedMLP, type Linear, listDevices, type MLP, ShardedLinear, UnusedTensorError} from 'tfjs-linear';
import {Attention, type QkvProjection} from './attention.js';
import {configOf, type LlamaConfig} from './config.js';
import {type Block, Llama, type WeightBytes} from './model.js';
import {halfSplitRows, MLP_PARTS, NAMES, type Names} from './names.js';
import {RmsNorm} from './norm.js';
import {RotaryEmbedding} from './rope.js';
import {rowsOf} from './steps.js';

export interface LoadOptions {
  signal?: AbortSignal;
  /** 'none': activations stay float32 even where the checkpoint says that they are rounded to 8 bits. Default: as the checkpoint says. */
  inputQuantization?: 'none';
  /** Several: every matrix is spread over them, by rows; an MLP's down projection by columns. The rest is on the current backend. */
  devices?: readonly string[];
}

/** Throws what `openCheckpoint`'s layers throw, and UnusedTensorError for a tensor that the model has no place for; nothing stays allocated then. */
export async function loadLlama(checkpoint: Checkpoint, options: LoadOptions = {}): Promise<Llama> {
  const loader = new Loader(checkpoint, configOf(checkpoint), options);
  try {
    return await loader.load();
  } catch (error) {
    loader.dispose();
    throw error;
  }
}

interface Disposable {
  dispose(): unknown;
}

class Loader {
  private readonly names: Names;
  private readonly made: Disposable[] = [];
  private bytes: WeightBytes = {weightBytes: 0, float32Bytes: 0};
  private readonly devices = new Map<string, number>();

  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly config: LlamaConfig,
    private readonly given: LoadOptions,
  ) {
    this.names = NAMES[checkpoint.container];
    for (const name of given.devices ?? []) this.devices.set(name, 0);
  }

  async load(): Promise<Llama> {
    const {names, config} = this;
    this.checkNames();
    const rope = new RotaryEmbedding(config, await this.ropeDivisors());
    const embedding = await this.linear(names.embedding);
    const blocks: Block[] = [];
    for (const layer of this.inFileOrder()) blocks[layer] = await this.block(layer);
    const norm = await this.norm(names.norm);
    const head = await this.head(embedding);
    const isAwaited = listDevices().some(({name, isSynchronous}) => this.devices.has(name) && !isSynchronous);
    const devices = [...this.devices].map(([name, bytes]) => ({name, bytes}));
    const parts = {config, embedding, blocks, norm, head, rope, isAwaited};
    return new Llama(parts, devices.length === 0 ? this.bytes : {...this.bytes, devices});
  }

  dispose(): void {
    for (const part of this.made) part.dispose();
  }

  /** null: the embedding is the head too. A file that says so and has a head of its own means that, unless the two are the same. */
  private async head(embedding: Linear): Promise<Linear | null> {
    const {names, config, checkpoint} = this;
    const has = checkpoint.names().some((name) => name.startsWith(`${names.head}.`));
    if (config.tiedEmbedding && !has) return null;
    const head = this.keep(await checkpoint.linear(names.head, this.options()));
    if (config.tiedEmbedding && (await sameRows(embedding, head))) {
      this.made.pop();
      head.dispose();
      return null;
    }
    this.countLayer(head);
    return head;
  }

  /** Layers as the file has them (often 0, 1, 10, 11 ...): a URL is then read from its start to its end. */
  private inFileOrder(): number[] {
    const places = new Map(this.checkpoint.names().map((name, place) => [name, place]));
    const placeOf = (layer: number) => places.get(this.names.attentionNorm(layer)) ?? 0;
    return Array.from({length: this.config.layerCount}, (_, layer) => layer).sort((a, b) => placeOf(a) - placeOf(b));
  }

  private async block(layer: number): Promise<Block> {
    const {names, config, given} = this;
    const norm = await this.norm(names.attentionNorm(layer));
    const qkv = await this.qkv(layer);
    const output = await this.linear(names.output(layer));
    const mlpNorm = await this.norm(names.mlpNorm(layer));
    const mlp = this.keep(await this.checkpoint.mlp(names.mlp(layer), {activationFunction: config.activation, ...given}));
    this.countLayer(mlp);
    return {attention: new Attention(norm, qkv, output, layer), mlpNorm, mlp};
  }

  private async qkv(layer: number): Promise<QkvProjection> {
    const [q, k, v] = this.names.qkv(layer);
    const rows = this.checkpoint.container === 'gguf' ? halfSplitRows(this.config) : null;
    const stacked = await this.checkpoint.stacked([q, k, v], this.options(rows?.stacked));
    if (stacked !== null) return [this.counted(stacked)];
    return [await this.linear(q, rows?.q), await this.linear(k, rows?.k), await this.linear(v)];
  }

  private async linear(module: string, rows?: readonly number[]): Promise<Linear> {
    return this.counted(await this.checkpoint.linear(module, this.options(rows)));
  }

  private options(rows?: readonly number[]): LoadOptions & {rows?: readonly number[]} {
    return {...(rows === undefined ? {} : {rows}), ...this.given};
  }

  private counted(layer: Linear): Linear {
    this.countLayer(layer);
    return this.keep(layer);
  }

  private async norm(name: string): Promise<RmsNorm> {
    const norm = new RmsNorm(await this.tensor(name), this.config.normEpsilon);
    this.count(norm.byteLength, norm.byteLength / 4);
    return this.keep(norm);
  }

  private tensor(name: string): Promise<tf.Tensor> {
    return this.checkpoint.tensor(name, this.given.signal === undefined ? {} : {signal: this.given.signal});
  }

  /** Llama 3 files in GGUF hold their stretched rotary frequencies as divisors. */
  private async ropeDivisors(): Promise<Float32Array | null> {
    if (!this.checkpoint.names().includes('rope_freqs.weight')) return null;
    const tensor = await this.tensor('rope_freqs.weight');
    const values = (await tensor.data()) as Float32Array;
    tensor.dispose();
    return values;
  }

  /** Throws UnusedTensorError where the file holds a tensor that no part of the model reads. */
  private checkNames(): void {
    const {names, config, checkpoint} = this;
    const modules = [names.embedding, names.head];
    const tensors = new Set([names.norm, ...(checkpoint.container === 'gguf' ? ['rope_freqs.weight'] : [])]);
    for (let i = 0; i < config.layerCount; i++) {
      modules.push(...names.qkv(i), names.output(i), ...MLP_PARTS[checkpoint.container].map((part) => `${names.mlp(i)}.${part}`));
      tensors.add(names.attentionNorm(i)).add(names.mlpNorm(i));
    }
    const known = new Set(modules);
    const unused = checkpoint.names().filter((name) => {
      const module = name.slice(0, name.lastIndexOf('.'));
      return !tensors.has(name) && !known.has(module) && !names.derived.test(name);
    });
    if (unused.length === 0) return;
    throw new UnusedTensorError({
      where: 'checkpoint',
      expected: `the tensors of a Llama model of ${config.layerCount} layers`,
      received: `also ${unused.slice(0, 3).join(', ')}${unused.length > 3 ? ` and ${unused.length - 3} more` : ''}`,
      why: 'This decoder has no place for them.',
    });
  }

  private countLayer(layer: Linear | MLP): void {
    this.count(layer.byteLength, layer.countParams());
    if (!(layer instanceof ShardedLinear || layer instanceof DistributedMLP)) return;
    for (const {device, byteLength} of layer.places) this.devices.set(device, (this.devices.get(device) ?? 0) + byteLength);
  }

  private count(bytes: number, parameters: number): void {
    this.bytes = {weightBytes: this.bytes.weightBytes + bytes, float32Bytes: this.bytes.float32Bytes + parameters * 4};
  }

  private keep<T extends Disposable>(part: T): T {
    this.made.push(part);
    return part;
  }
}

/** Whether two layers have the same weights. */
async function sameRows(a: Linear, b: Linear): Promise<boolean> {
  if (a.outDim !== b.outDim || a.inDim !== b.inDim) return false;
  for (let begin = 0; begin < a.outDim; begin += 4096) {
    const rows = Array.from({length: Math.min(4096, a.outDim - begin)}, (_, i) => begin + i);
    // One after the other: a spread weight gives them to the backend that is current.
    const parts = [await rowsOf(a, rows), await rowsOf(b, rows)];
    const [x, y] = (await Promise.all(parts.map((part) => part.data()))) as [Float32Array, Float32Array];
    tf.dispose(parts);
    if (x.some((value, i) => value !== y[i])) return false;
  }
  return true;
}
