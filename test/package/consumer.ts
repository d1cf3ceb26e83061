/** The types as a user of the package sees them; compiled against the installed package by npm run check:package. */
import * as tf from '@tensorflow/tfjs';
import {type Checkpoint, Linear, type LinearConfig, memory, openCheckpoint, ops, type QuantizedWeight} from 'tfjs-linear';

const config: LinearConfig = {inDim: 4, outDim: 2, hasBias: true};
const layer: Linear = new Linear(config);
const model: tf.LayersModel = tf.sequential({layers: [layer, tf.layers.dense({units: 1})]});
const y: tf.Tensor = layer.forward(tf.ones([1, 4]));
const bytes: number = memory().codesBytes;

export async function load(files: FileList): Promise<tf.Tensor> {
  const checkpoint: Checkpoint = await openCheckpoint(files);
  const {weight} = await checkpoint.linear('up_proj');
  return ops.unpackWeight(weight as QuantizedWeight, [0]);
}

// @ts-expect-error a config without its dimensions
new Linear({inDim: 4});
// @ts-expect-error no activation of that name
ops.quantizedMatMul(y, layer.weight as QuantizedWeight, {activation: 'swish'});

export const all = [model, bytes];
