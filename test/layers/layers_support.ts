/** Layers to test, and saving to memory and back. */
import * as tf from '@tensorflow/tfjs';
import type {FileTensor} from '../../src/formats/format.js';
import {Linear, MLP, openCheckpoint} from '../../src/index.js';
import type {SafetensorsDtype} from '../../src/io/safetensors_types.js';
import {type SafetensorsTensor, writeSafetensors} from '../../src/io/safetensors_writer.js';
import {affineWeight, f16, gptqConfig, gptqTensors, halfScales, randomParts, seeded} from '../formats/packed_build.js';
import {caseNamed} from '../grid/cases.js';
import {randomX} from '../grid/layouts.js';
import {filesOf} from '../support/checkpoints.js';
import {jsonBytes} from '../support/files.js';

/** A random tensor in [-1, 1), the same on every call. */
export function randomTensor(shape: readonly number[], seed = 1): tf.Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(randomX(1, size, seed), [...shape]);
}

/** The layer of a case of test/grid/cases.ts, packed as in its file. */
export async function packedLayer(name: string): Promise<Linear> {
  const c = caseNamed(name);
  const {files} = await filesOf(c);
  const checkpoint = await openCheckpoint(files);
  const layer = await checkpoint.linear(c.module);
  await checkpoint.close();
  return layer;
}

export interface MLPFiles {
  /** What openCheckpoint takes; the module is 'mlp'. */
  readonly files: Record<string, Uint8Array>;
  /** [N, K] and [N] by projection. */
  readonly weights: Readonly<Record<Projection, Float32Array>>;
  readonly biases: Readonly<Record<Projection, Float32Array>> | null;
}

type Projection = 'gate_proj' | 'up_proj' | 'down_proj';

/** A 4-bit MLP, hidden 64, inner 96. `ordered`: gate and up have column orders of their own, so that they cannot be one record. */
export function mlpFiles({bias, ordered = false}: {bias: boolean; ordered?: boolean}): MLPFiles {
  const tensors: SafetensorsTensor[] = [];
  const add = (name: string, {dtype, shape, data}: FileTensor) => tensors.push({name, dtype: dtype as SafetensorsDtype, shape, data});
  const shapes = {gate_proj: [96, 64], up_proj: [96, 64], down_proj: [64, 96]} as const;
  const weights = {} as Record<Projection, Float32Array>;
  const biases = {} as Record<Projection, Float32Array>;
  for (const [i, [child, [outDim, inDim]]] of (Object.entries(shapes) as [Projection, readonly [number, number]][]).entries()) {
    const groupOf = ordered ? {groupOf: Array.from({length: inDim}, (_, k) => (k * (2 * i + 3)) % (inDim / 32))} : {};
    const parts = randomParts({outDim, inDim, bits: 4, groupSize: 32, zero: 8, ...groupOf}, 50 + i);
    for (const [name, t] of Object.entries(gptqTensors(parts, 'gptq'))) add(`mlp.${child}.${name}`, t);
    weights[child] = affineWeight(parts);
    biases[child] = Float32Array.from(halfScales(outDim, seeded(i)));
    if (bias) add(`mlp.${child}.bias`, f16([outDim], [...biases[child]]));
  }
  const quantization = gptqConfig(4, 32, true, 'gptq', {desc_act: ordered});
  return {
    files: {
      'model.safetensors': writeSafetensors(tensors),
      'config.json': jsonBytes({quantization_config: quantization}),
    },
    weights,
    biases: bias ? biases : null,
  };
}

/** The MLP of `mlpFiles`. */
export async function packedMLP(options: {bias: boolean; ordered?: boolean}): Promise<MLP> {
  const checkpoint = await openCheckpoint(mlpFiles(options).files);
  const mlp = await checkpoint.mlp('mlp', {activationFunction: 'gelu_tanh'});
  await checkpoint.close();
  return mlp;
}

/** Saves, and loads what was saved: topology through JSON, weights through their bytes. */
export async function saveAndLoad(model: tf.LayersModel): Promise<tf.LayersModel> {
  let saved: tf.io.ModelArtifacts | null = null;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    }),
  );
  const {modelTopology, weightSpecs, weightData} = saved as unknown as tf.io.ModelArtifacts;
  const topology = JSON.parse(JSON.stringify(modelTopology)) as object;
  return tf.loadLayersModel(
    tf.io.fromMemory({modelTopology: topology, weightSpecs: weightSpecs ?? [], weightData: weightData as ArrayBuffer}),
  );
}

/** Layers of a model, in order, those inside of others too; our own are each one layer. */
export function flatLayers(layer: tf.layers.Layer): tf.layers.Layer[] {
  if (layer instanceof Linear || layer instanceof MLP || !(layer instanceof tf.LayersModel)) {
    const inside = (layer as {layer?: tf.layers.Layer}).layer;
    return inside === undefined ? [layer] : flatLayers(inside);
  }
  return layer.layers.flatMap(flatLayers);
}

/** Values of a tensor that is disposed. */
export async function take(t: tf.Tensor): Promise<number[]> {
  const values = Array.from(await t.data());
  t.dispose();
  return values;
}

/** Gives every weight numbers in [-1, 1) that are the same on every run. */
export function setSeededWeights<M extends tf.LayersModel>(model: M, seed = 1): M {
  const values = model.weights.map((weight, i) => randomTensor(weight.shape as number[], seed + i));
  model.setWeights(values);
  tf.dispose(values);
  return model;
}

/** The layer inside a sequential model inside a functional one, beside tf.js's own layers. */
export function around(layer: tf.LayersModel, width: number): tf.LayersModel {
  const input = tf.input({shape: [width]});
  const before = tf.layers.dropout({rate: 0.5}).apply(input) as tf.SymbolicTensor;
  const inner = tf.sequential({layers: [layer, tf.layers.dense({units: 3, kernelInitializer: 'randomUniform'})]});
  const y = inner.apply(before) as tf.SymbolicTensor;
  return tf.model({inputs: input, outputs: tf.layers.leakyReLU().apply(y) as tf.SymbolicTensor});
}
