/** Which layers of a model can be packed, and why the others cannot. */
import * as tf from '@tensorflow/tfjs';
import {fromSavedConfig} from '../layers/config.js';
import {Linear, type LinearConfig} from '../layers/linear.js';
import {MLP} from '../layers/mlp.js';
import {type LayerFilter, passes} from './options.js';
import type {QuantizeMode} from './round.js';

/** A layer to pack. `config` is its packed successor's, but for the record. */
export interface Candidate {
  readonly path: string;
  readonly layer: tf.layers.Layer;
  readonly config: LinearConfig;
  /** [K, N] as Dense has it, or [N, K]. */
  readonly transposed: boolean;
  readonly dropped: readonly string[];
}

export interface Left {
  readonly path: string;
  readonly layer: tf.layers.Layer;
  readonly reason: string;
}

export interface Plan {
  readonly candidates: readonly Candidate[];
  readonly left: readonly Left[];
}

/** The class behind `tf.layers.dense`, which tf.js does not export. */
const DENSE = tf.layers.dense({units: 1}).constructor as new () => object;
const CONTAINERS = ['Model', 'Functional', 'Sequential'];
const TRAINING_ONLY = ['kernelRegularizer', 'biasRegularizer', 'activityRegularizer', 'kernelConstraint', 'biasConstraint'];

/** A model of tf.js's own classes, whose layers its config lists. */
export function isContainer(layer: tf.layers.Layer): layer is tf.LayersModel {
  if (!(layer instanceof tf.LayersModel) || !CONTAINERS.includes(layer.getClassName())) return false;
  const registered = tf.serialization.SerializationMap.getMap().classNameMap[layer.getClassName()];
  return registered?.[0] === (layer.constructor as unknown);
}

/** The layer inside a TimeDistributed; null for any other. Bidirectional holds recurrent layers only. */
export function wrapped(layer: tf.layers.Layer): tf.layers.Layer | null {
  return layer.getClassName() === 'TimeDistributed' ? (layer as tf.layers.Layer & {layer: tf.layers.Layer}).layer : null;
}

/** Layers one below, by the name that the config calls them. */
export function childrenOf(layer: tf.layers.Layer): readonly tf.layers.Layer[] {
  if (isContainer(layer)) return layer.layers;
  const inside = wrapped(layer);
  if (inside !== null) return [inside];
  return layer.constructor === MLP ? (layer as MLP).projections().map(([, child]) => child) : [];
}

export function planModel(model: tf.LayersModel, mode: QuantizeMode, filter: LayerFilter | undefined): Plan {
  const candidates: Candidate[] = [];
  const left: Left[] = [];
  const seen = new Set<tf.layers.Layer>();
  const visit = (layer: tf.layers.Layer, path: string) => {
    if (seen.has(layer)) return;
    seen.add(layer);
    const children = childrenOf(layer);
    for (const child of children) visit(child, path === '' ? child.name : `${path}/${child.name}`);
    if (children.length > 0 || layer.weights.length === 0) return;
    const found = candidateOf(layer, path === '' ? layer.name : path, mode);
    if ('reason' in found) left.push(found);
    else if (passes(filter, layer, found.path)) candidates.push(found);
    else left.push({path: found.path, layer, reason: 'left out by filters'});
  };
  visit(model, '');
  return {candidates, left};
}

function candidateOf(layer: tf.layers.Layer, path: string, mode: QuantizeMode): Candidate | Left {
  const no = (reason: string): Left => ({path, layer, reason});
  if (layer.constructor === DENSE) return denseCandidate(layer, path);
  if ((layer as object) instanceof DENSE) return no('a subclass of Dense, which may compute something else');
  if (layer.constructor === Linear) return linearCandidate(layer as Linear, path, mode);
  if (layer instanceof Linear) {
    const packed = 'layout' in layer.weight;
    return no(packed ? 'already packed' : 'a subclass of Linear, which may compute something else');
  }
  if (layer instanceof tf.LayersModel) return no('a model class of its own, which may compute something else');
  return no(`no Dense: ${layer.getClassName()} keeps its weights as they are`);
}

function denseCandidate(layer: tf.layers.Layer, path: string): Candidate {
  const [inDim, outDim] = (layer.weights[0] as tf.LayerVariable).shape as [number, number];
  const {activation, useBias, trainable, ...rest} = layer.getConfig() as {activation: string; useBias: boolean; trainable?: boolean};
  return {
    path,
    layer,
    transposed: true,
    dropped: TRAINING_ONLY.filter((key) => ((rest as Record<string, unknown>)[key] ?? null) !== null),
    config: {
      name: layer.name,
      autoNamed: true,
      inDim,
      outDim,
      hasBias: useBias,
      activation: activation === 'linear' ? null : activation,
      trainable: trainable ?? layer.trainable,
    },
  };
}

function linearCandidate(layer: Linear, path: string, mode: QuantizeMode): Candidate | Left {
  const {weight} = layer;
  if ('cuts' in weight) return {path, layer, reason: 'spread over several devices'};
  if ('layout' in weight) {
    const {planes, decode} = weight.layout;
    const plain = planes[0] === 16 && decode.kind === 'float';
    if (!plain || mode === 'float16' || mode === 'bfloat16') return {path, layer, reason: 'already packed'};
  }
  const {
    layout: _layout,
    origin: _origin,
    dtype: _dtype,
    quantizationEncoding: _encoding,
    ...config
  } = fromSavedConfig<LinearConfig>(layer.getConfig());
  return {path, layer, config, transposed: false, dropped: []};
}
