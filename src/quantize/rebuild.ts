/** A model like another, some layers of it replaced: from the same config, with the same weights. */
import * as tf from '@tensorflow/tfjs';
import {UnsupportedError} from '../errors.js';
import {fromSavedConfig, toSavedConfig} from '../layers/config.js';
import {Linear, type LinearConfig} from '../layers/linear.js';
import {MLP, type MLPConfig} from '../layers/mlp.js';
import {childrenOf, isContainer, wrapped} from './plan.js';

/** What takes the place of a layer. */
export interface Replacement {
  readonly config: LinearConfig;
  readonly words: Int32Array;
  /** The source's bias, not copied; null without. */
  readonly bias: tf.Tensor | null;
}

export type Replacements = ReadonlyMap<tf.layers.Layer, Replacement>;

/** Layer name, node, tensor, call arguments. */
type NodeReference = [string, number, ...unknown[]];

interface LayerData {
  className: string;
  config: tf.serialization.ConfigDict;
  name?: string;
  /** One list a call. Functional models only. */
  inboundNodes?: NodeReference[][];
}

interface ContainerConfig {
  layers: LayerData[];
  inputLayers?: NodeReference[];
  outputLayers?: NodeReference[];
}

/** The new model. On failure nothing is left of it. */
export function rebuild(model: tf.LayersModel, replacements: Replacements): tf.LayersModel {
  registerClasses(model);
  const {className, config} = dataOf(model, replacements);
  const cls = tf.serialization.SerializationMap.getMap().classNameMap[className]?.[0] as unknown as typeof tf.LayersModel & {
    fromConfig(cls: unknown, config: tf.serialization.ConfigDict, customObjects: object, fastWeightInit: boolean): tf.LayersModel;
  };
  let made: tf.LayersModel;
  const variables = new Set(Object.values(tf.engine().registeredVariables));
  try {
    // Weights begin as zeros: they are all set right after.
    made = cls.fromConfig(cls, config, {}, true);
  } catch (cause) {
    // Layers before the one that failed belong to no model.
    for (const variable of Object.values(tf.engine().registeredVariables)) if (!variables.has(variable)) variable.dispose();
    throw new UnsupportedError(
      {
        where: `quantizeModel: ${model.name}`,
        expected: 'a model that tf.js can make again from its config',
        received: `${(cause as Error).message}, with layers of the classes ${[...classesOf(model)].join(', ')}`,
        remedy: 'Give classes of your own a getConfig that holds the arguments of their constructor.',
      },
      {cause},
    );
  }
  try {
    copyWeights(model, made, replacements);
  } catch (error) {
    made.dispose();
    throw error;
  }
  return made;
}

function classesOf(layer: tf.layers.Layer, found = new Set<string>()): Set<string> {
  const children = childrenOf(layer);
  if (children.length === 0) found.add(layer.getClassName());
  for (const child of children) classesOf(child, found);
  return found;
}

/** Classes that the source uses and nobody registered: without them tf.js cannot make its layers again. */
function registerClasses(layer: tf.layers.Layer): void {
  const known = tf.serialization.SerializationMap.getMap().classNameMap;
  if (known[layer.getClassName()] === undefined) {
    tf.serialization.registerClass(layer.constructor as unknown as tf.serialization.SerializableConstructor<tf.layers.Layer>);
  }
  for (const child of childrenOf(layer)) registerClasses(child);
}

function dataOf(layer: tf.layers.Layer, replacements: Replacements): LayerData {
  const replacement = replacements.get(layer);
  if (replacement !== undefined) return {className: Linear.className, config: toSavedConfig(replacement.config)};
  const data: LayerData = {className: layer.getClassName(), config: layer.getConfig()};
  if (isContainer(layer)) return {...data, config: containerConfig(layer, data.config, replacements)};
  const inside = wrapped(layer);
  if (inside !== null)
    return {...data, config: {...data.config, layer: dataOf(inside, replacements)} as unknown as tf.serialization.ConfigDict};
  if (layer.constructor === MLP) return {...data, config: mlpConfig(layer as MLP, replacements)};
  return data;
}

function containerConfig(
  container: tf.LayersModel,
  config: tf.serialization.ConfigDict,
  replacements: Replacements,
): tf.serialization.ConfigDict {
  // A Linear is a model, which has a node of its own before those of its calls; a Dense has not.
  const later = new Set(container.layers.filter((l) => replacements.has(l) && !(l instanceof tf.LayersModel)).map((l) => l.name));
  const moved = ([name, node, ...rest]: NodeReference): NodeReference => [name, later.has(name) ? node + 1 : node, ...rest];
  const {layers, inputLayers, outputLayers} = config as unknown as ContainerConfig;
  const made = layers.map((entry, i) => ({
    ...entry,
    ...dataOf(container.layers[i] as tf.layers.Layer, replacements),
    ...(entry.inboundNodes === undefined ? {} : {inboundNodes: entry.inboundNodes.map((node) => node.map(moved))}),
  }));
  const first = container.layers[0];
  if (container instanceof tf.Sequential && first !== undefined) made.unshift(...inputBefore(first, replacements));
  const ends = inputLayers === undefined ? {} : {inputLayers, outputLayers: outputLayers?.map(moved)};
  return {...config, layers: made, ...ends} as unknown as tf.serialization.ConfigDict;
}

/** Linear as a first layer takes [batch, K]; any other input needs a layer that says so. */
function inputBefore(first: tf.layers.Layer, replacements: Replacements): LayerData[] {
  const batchInputShape = first.batchInputShape;
  if (!replacements.has(first) || first.getClassName() === Linear.className || batchInputShape === undefined) return [];
  if (batchInputShape.length === 2 && batchInputShape[0] === null) return [];
  return [{className: 'InputLayer', config: {batchInputShape, dtype: 'float32', sparse: false, name: `${first.name}_input`}}];
}

function mlpConfig(mlp: MLP, replacements: Replacements): tf.serialization.ConfigDict {
  const config = fromSavedConfig<MLPConfig>(mlp.getConfig());
  const children = {...config.children};
  for (const [name, child] of mlp.projections()) {
    const replacement = replacements.get(child);
    if (replacement !== undefined) children[name] = replacement.config;
  }
  return toSavedConfig({...config, children});
}

function copyWeights(from: tf.layers.Layer, to: tf.layers.Layer, replacements: Replacements): void {
  const replacement = replacements.get(from);
  if (replacement !== undefined) {
    const layer = to as Linear;
    const weight = tf.tensor1d(replacement.words, 'int32');
    const bias = replacement.bias === null ? {} : {[`${layer.keyPrefix}bias`]: replacement.bias};
    layer.loadStateDict({[`${layer.keyPrefix}weight`]: weight, ...bias});
    weight.dispose();
    return;
  }
  const children = childrenOf(from);
  if (children.length === 0) {
    to.setWeights(from.getWeights());
    return;
  }
  const successors = childrenOf(to);
  // A Sequential may have got an input layer in front: names tell which is which, and in a wrapper or an MLP places do.
  const byName = isContainer(from) ? new Map(successors.map((layer) => [layer.name, layer])) : null;
  children.forEach((child, i) =>
    copyWeights(child, (byName === null ? successors[i] : byName.get(child.name)) as tf.layers.Layer, replacements),
  );
}
