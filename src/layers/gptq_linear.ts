/** GPTQLinear: a Linear whose weight came out of GPTQ. */
import * as tf from '@tensorflow/tfjs';
import {codeBits, type WeightLayout} from '../../kernels/layout.js';
import {checkObject} from '../arguments.js';
import {QuantizationConfig, type QuantizationOptions} from '../config/quantization.js';
import {ArgumentError} from '../errors.js';
import {gptqLayout} from '../formats/gptq.js';
import {lowerGptqState} from '../formats/state_dict.js';
import {fromSavedConfig, toSavedConfig} from './config.js';
import {Linear, type LinearConfig, type LinearInit} from './linear.js';
import {type PreparedState, prepareRecord, type StateDict} from './state.js';

export interface GPTQLinearConfig extends LinearConfig {
  /** Width, group size, act-order and zero points. Needed unless `layout` is given. `quantMethod` defaults to 'gptq'. */
  quantizationConfig?: QuantizationConfig | (Omit<QuantizationOptions, 'quantMethod'> & {quantMethod?: string}) | null;
  /** How loadStateDict reads stored zero points: 'gptq' (one less than they are, the default) or 'gptq_v2' (as they are). */
  checkpointFormat?: 'gptq' | 'gptq_v2';
}

/**
 * A linear layer over a GPTQ weight: 2 to 8 bits, any group size (-1 and a short last group included), zero points, act-order, bias.
 * Source: MAX `max.nn.linear.GPTQLinear`. Differs: not only 4 bits, groups of 128 and sym; zero points are read; a bias is allowed; the layer itself
 * turns a map of groups into an order; f32 scales and output. A float8Config is refused, as in MAX.
 *
 * ```js
 * const layer = new tfl.GPTQLinear({inDim: 64, outDim: 8, quantizationConfig: {bits: 4, groupSize: 32, sym: true}});
 * layer.weight.byteLength; // 288
 * ```
 */
export class GPTQLinear extends Linear {
  static override className = 'TflGPTQLinear';
  readonly checkpointFormat: 'gptq' | 'gptq_v2';
  private readonly given: QuantizationConfig | null;

  /** Throws ArgumentError without a quantizationConfig, or with a float8Config; UnsupportedError for a width that GPTQ does not have. */
  constructor(config: GPTQLinearConfig, init: LinearInit = {}) {
    checkObject('GPTQLinear', config);
    const {quantizationConfig = null, checkpointFormat = 'gptq', ...rest} = config;
    const where = config.name ?? 'GPTQLinear';
    if ((config.float8Config ?? null) !== null) {
      throw new ArgumentError({where: `${where}: float8Config`, expected: 'none', received: 'one', remedy: 'Use Linear for 8-bit floats.'});
    }
    if (!['GPTQ', undefined, null].includes(config.quantizationEncoding)) {
      throw new ArgumentError({where: `${where}: quantizationEncoding`, expected: "'GPTQ'", received: config.quantizationEncoding});
    }
    if (checkpointFormat !== 'gptq' && checkpointFormat !== 'gptq_v2') {
      throw new ArgumentError({where: `${where}: checkpointFormat`, expected: 'gptq or gptq_v2', received: checkpointFormat});
    }
    const given = quantizationConfig === null ? null : asConfig(quantizationConfig);
    super({...rest, quantizationEncoding: 'GPTQ', layout: config.layout ?? layoutFor(given, config, where)}, init);
    this.checkpointFormat = checkpointFormat;
    this.given = given;
  }

  /** As given, else what the record says: sym means that all zero points are the middle. */
  get quantizationConfig(): QuantizationConfig {
    return this.given ?? configOf(this.core.config.layout as WeightLayout);
  }

  /**
   * As Linear's, or the tensors of a GPTQ file by their names there, int32 and float32: packed codes, scales, zero points (not needed where sym),
   * the map of groups or MAX's order of inputs, and a bias with hasBias (src/formats/state_dict.ts has the names).
   * Throws as the file's reader does.
   */
  override loadStateDict(dict: StateDict, options: {strict?: boolean} = {}): void {
    super.loadStateDict(dict, options);
  }

  override prepareState(dict: StateDict, strict: boolean): PreparedState {
    const {keyPrefix} = this;
    if (dict[`${keyPrefix}weight`] !== undefined) return super.prepareState(dict, strict);
    return prepareRecord(this, this.core, dict, strict, (tensors) => {
      const {lowered, quantization} = lowerGptqState(
        tensors,
        this.quantizationConfig,
        this.checkpointFormat,
        [this.outDim, this.inDim],
        this.name,
        strict,
      );
      const {layout, words, origin} = lowered;
      return {layout, words, origin: {quantization, parts: [{rows: layout.outDim, origin, biasType: this.hasBias ? 'F32' : null}]}};
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    const {checkpointFormat, given} = this;
    return toSavedConfig({
      ...fromSavedConfig(super.getConfig()),
      checkpointFormat,
      quantizationConfig: given === null ? null : {...given},
    });
  }
}

function asConfig(config: NonNullable<GPTQLinearConfig['quantizationConfig']>): QuantizationConfig {
  return config instanceof QuantizationConfig ? config : new QuantizationConfig({quantMethod: 'gptq', ...config});
}

function layoutFor(config: QuantizationConfig | null, {outDim, inDim}: LinearConfig, where: string): WeightLayout {
  if (config !== null) return gptqLayout(config, outDim, inDim);
  throw new ArgumentError({
    where: `${where}: quantizationConfig`,
    expected: 'a QuantizationConfig (bits, groupSize, descAct, sym)',
    received: 'none',
    remedy: 'Or load the layer with openCheckpoint(...).linear(module).',
  });
}

function configOf(layout: WeightLayout): QuantizationConfig {
  const bits = codeBits(layout);
  const columns = layout.scales[0]?.grid.columns ?? layout.inDim;
  return new QuantizationConfig({
    quantMethod: 'gptq',
    bits,
    groupSize: columns >= layout.inDim ? -1 : columns,
    descAct: layout.ordered,
    sym: layout.zero.kind === 'constant' && layout.zero.value === 2 ** (bits - 1),
  });
}

tf.serialization.registerClass(GPTQLinear as unknown as tf.serialization.SerializableConstructor<GPTQLinear>);

/**
 * A `GPTQLinear`, as `tf.layers` factories make layers.
 *
 * ```js
 * tfl.gptqLinear({inDim: 64, outDim: 8, quantizationConfig: {bits: 4, groupSize: -1, sym: true}}).weight.byteLength; // 272
 * ```
 */
export function gptqLinear(config: GPTQLinearConfig): GPTQLinear {
  return new GPTQLinear(config);
}
