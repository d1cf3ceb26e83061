/** quantizeModel: a tf.js model with every Dense packed. */
import * as tf from '@tensorflow/tfjs';
import {checkFunction, checkOptions} from '../arguments.js';
import {ArgumentError} from '../errors.js';
import type {Linear} from '../layers/linear.js';
import {checkConfig, checkFilter, QUANTIZE_OPTIONS, type QuantizeConfig, type QuantizeOptions} from './options.js';
import {type Candidate, planModel} from './plan.js';
import {type Replacement, rebuild} from './rebuild.js';
import type {QuantizedLayer, QuantizeReport} from './report.js';
import {type Rounding, roundingError, roundWeight} from './round.js';

/**
 * A copy of the model in which every Dense is a packed `Linear` with the same weights rounded to nearest, its bias and its activation; layers of
 * nested models, inside TimeDistributed, and our own float `Linear` and `MLP` too. The source model is untouched; dispose both. Weights of other
 * layers are shared with the source until one of the two changes them. The copy is not compiled.
 * Layers that stay as they were, and why, are in the report: subclasses of Dense, packed layers, what `filters` leaves out, other kinds of layer.
 * Throws ArgumentError for an unknown option, a weight that is not finite or that float16 does not reach; UnsupportedError for a model with a layer
 * class that tf.js cannot make again from its config; nothing is left then.
 * Source: Keras's `Model.quantize`.
 *
 * ```js
 * const model = tf.sequential({layers: [tf.layers.dense({units: 8, inputShape: [32], activation: 'relu'}), tf.layers.dense({units: 2})]});
 * const {model: small, report} = await tfl.quantizeModel(model, {mode: 'int4', groupSize: 16});
 * report.layers.map((layer) => layer.bytesAfter < layer.bytesBefore); // [true, true]
 * small.predict(tf.ones([1, 32])).shape; // [1, 2]
 * ```
 */
export async function quantizeModel(
  model: tf.LayersModel,
  config: QuantizeConfig,
  options: QuantizeOptions = {},
): Promise<{model: tf.LayersModel; report: QuantizeReport}> {
  const rounding = checkConfig(config);
  checkOptions('quantizeModel', options, QUANTIZE_OPTIONS);
  if (!(model instanceof tf.LayersModel)) {
    throw new ArgumentError({
      where: 'quantizeModel: model',
      expected: 'a tf.LayersModel',
      received: (model as object | null)?.constructor?.name ?? model,
      remedy: 'A graph model has no layers to replace: load the layers format (tf.loadLayersModel).',
    });
  }
  checkFilter(options.filters);
  checkFunction('quantizeModel: onProgress', options.onProgress);
  if (model.layers.length === 0)
    throw new ArgumentError({where: 'quantizeModel: model', expected: 'a model with layers', received: 'an empty one'});
  const {candidates, left} = planModel(model, rounding.mode, options.filters);
  const replacements = new Map<tf.layers.Layer, Replacement>();
  const layers: QuantizedLayer[] = [];
  for (const candidate of candidates) {
    options.signal?.throwIfAborted();
    const {replacement, line} = await packLayer(candidate, rounding);
    replacements.set(candidate.layer, replacement);
    layers.push(line);
    options.onProgress?.({path: candidate.path, done: layers.length, total: candidates.length});
    // A page stays alive between layers.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  options.signal?.throwIfAborted();
  const made = rebuild(model, replacements);
  const report: QuantizeReport = {
    mode: rounding.mode,
    groupSize: rounding.mode === 'int4' || rounding.mode === 'int8' ? rounding.groupSize : null,
    layers,
    skipped: left.map(({path, layer, reason}) => ({path, className: layer.getClassName(), reason, bytes: bytesOf(layer)})),
    bytesBefore: bytesOf(model),
    bytesAfter: bytesOf(made),
  };
  return {model: made, report};
}

async function packLayer(candidate: Candidate, rounding: Rounding): Promise<{replacement: Replacement; line: QuantizedLayer}> {
  const {path, layer, config, transposed, dropped} = candidate;
  const {inDim, outDim} = config;
  const values = transposed ? await kernelOf(layer, inDim, outDim) : await weightOf(layer as Linear);
  const rounded = roundWeight(values, outDim, inDim, rounding, path);
  const bias = config.hasBias === true ? biasOf(layer, transposed) : null;
  const {mode} = rounding;
  const dtype = mode === 'float16' || mode === 'bfloat16' ? mode : mode === 'float8' ? 'float8_e4m3fn' : mode === 'int8' ? 'int8' : 'uint8';
  return {
    replacement: {config: {...config, dtype, layout: rounded.layout}, words: rounded.words, bias},
    line: {
      path,
      className: layer.getClassName(),
      outDim,
      inDim,
      bytesBefore: bytesOf(layer),
      bytesAfter: rounded.words.length * 4 + (bias === null ? 0 : outDim * 4),
      ...roundingError(values, rounded),
      dropped,
    },
  };
}

/** Dense's kernel [K, N] as [N, K]. */
async function kernelOf(layer: tf.layers.Layer, inDim: number, outDim: number): Promise<Float32Array> {
  const kernel = await (layer.weights[0] as tf.LayerVariable).read().data();
  const values = new Float32Array(outDim * inDim);
  for (let k = 0; k < inDim; k++) for (let n = 0; n < outDim; n++) values[n * inDim + k] = kernel[k * outDim + n] as number;
  return values;
}

async function weightOf({weight}: Linear): Promise<Float32Array> {
  const whole = weight.dequantize();
  try {
    return (await whole.data()) as Float32Array;
  } finally {
    whole.dispose();
  }
}

function biasOf(layer: tf.layers.Layer, transposed: boolean): tf.Tensor {
  return transposed ? (layer.weights[1] as tf.LayerVariable).read() : ((layer as Linear).bias as tf.Tensor);
}

/** Bytes of a layer's weights, each counted once. */
function bytesOf(layer: tf.layers.Layer): number {
  return [...new Set(layer.weights)].reduce((sum, weight) => sum + 4 * weight.read().size, 0);
}
