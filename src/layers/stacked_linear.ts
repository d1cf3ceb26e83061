/** StackedLinear: several projections of the same x (q, k and v) as one layer with one product. */
import * as tf from '@tensorflow/tfjs';
import {sectionsOf, type WeightLayout} from '../../kernels/layout.js';
import type {Range} from '../../kernels/slice.js';
import {checkBoolean, checkDim, checkObject, checkTensor} from '../arguments.js';
import {Float8Config} from '../config/float8.js';
import {ArgumentError, ShapeError, UnsupportedError} from '../errors.js';
import {emptyWords} from '../sharding/place.js';
import {cutRecord, type HostRecord, joinRecords} from '../sharding/record.js';
import type {Cut} from '../sharding/strategy.js';
import {fromSavedConfig, toSavedConfig} from './config.js';
import {Linear, type LinearConfig, type LinearInit} from './linear.js';
import {checkKeys, checkShape, type PreparedState, type StateDict} from './state.js';

export interface StackedLinearConfig extends Omit<LinearConfig, 'outDim'> {
  /** Rows of each projection, in order. */
  outDims: readonly number[];
  /** Name of each projection; state keys are `q_proj.weight`, `q_proj.bias` ... Not used with `stacked`. */
  names: readonly string[];
  /** The state has one `weight` [sum of outDims, inDim] and `bias`, instead of one a projection. Default false. */
  stacked?: boolean;
}

/**
 * y = x . W^T + b with the rows of W those of several projections, one below the other.
 * Source: MAX `max.nn.linear.StackedLinear`. Differs: clipping in both modes; packed weights; projections with a scale of the whole tensor keep
 * their own (it is held for each row), so nothing is rounded anew. Static scales of x must agree: there is one x.
 * Throws ArgumentError where names and rows do not match, UnsupportedError for scales that one record cannot hold.
 *
 * ```js
 * const qkv = new tfl.StackedLinear({inDim: 4, outDims: [4, 2, 2], names: ['q_proj', 'k_proj', 'v_proj']});
 * const y = qkv.forward(tf.ones([3, 4]));
 * qkv.split(y).map((part) => part.shape); // [[3, 4], [3, 2], [3, 2]]
 * Object.keys(qkv.stateDict()); // ["q_proj.weight", "k_proj.weight", "v_proj.weight"]
 * ```
 */
export class StackedLinear extends Linear {
  static override className = 'TflStackedLinear';
  /** Shards have rows of several projections, or parts of some: they are plain layers. */
  static readonly shardClass = Linear;
  readonly outDims: readonly number[];
  readonly names: readonly string[];
  readonly stacked: boolean;

  constructor(config: StackedLinearConfig, init: LinearInit = {}) {
    checkObject('StackedLinear', config);
    const {outDims, names, stacked = false, ...rest} = config;
    const where = config.name ?? 'StackedLinear';
    checkBoolean(`${where}: stacked`, stacked);
    const isNamed = Array.isArray(names) && names.every((name) => typeof name === 'string' && name !== '');
    if (
      !isNamed ||
      !Array.isArray(outDims) ||
      outDims.length !== names.length ||
      new Set(names).size !== names.length ||
      names.length === 0
    ) {
      throw new ArgumentError({
        where,
        expected: 'as many different names as outDims',
        received: `names [${names}], outDims [${outDims}]`,
      });
    }
    for (const rows of outDims) checkDim(rows, 'outDims', where);
    const sum = outDims.reduce((a, b) => a + b, 0);
    const {outDim = sum} = rest as {outDim?: number};
    if (outDim !== sum)
      throw new ArgumentError({where: `${where}: outDim`, expected: `none, or the sum of outDims, ${sum}`, received: outDim});
    const float8Config = stacked ? (rest.float8Config ?? null) : scaledByRow(rest.float8Config ?? null);
    super({...rest, float8Config, outDim: sum}, init);
    this.outDims = [...outDims];
    this.names = [...names];
    this.stacked = stacked;
  }

  /** y [..., sum of outDims] as the projections' outputs [..., outDims[i]]; the caller disposes them. */
  split(y: tf.Tensor): tf.Tensor[] {
    checkTensor(`${this.name}: split`, y);
    if (y.shape[y.rank - 1] !== this.outDim)
      throw new ShapeError({where: `${this.name}: split`, expected: `[..., ${this.outDim}]`, received: `[${y.shape}]`});
    return tf.split(y, [...this.outDims], y.rank - 1);
  }

  override stateDict(): Record<string, tf.Tensor> {
    const whole = super.stateDict();
    if (this.stacked) return whole;
    const dict: Record<string, tf.Tensor> = {};
    const [weight, bias, scale] = ['weight', 'bias', 'input_scale'].map((key) => whole[this.keyPrefix + key]);
    this.cuts.forEach((cut, i) => {
      const prefix = `${this.keyPrefix}${this.names[i]}.`;
      const [rows] = cut.rows as [Range];
      dict[`${prefix}weight`] = this.partOf(weight as tf.Tensor, cut);
      if (scale !== undefined) dict[`${prefix}input_scale`] = tf.clone(scale);
      if (bias !== undefined) dict[`${prefix}bias`] = tf.slice(bias, [rows[0]], [rows[1] - rows[0]]);
    });
    tf.dispose(whole);
    return dict;
  }

  override prepareState(dict: StateDict, strict: boolean): PreparedState {
    if (this.stacked) return super.prepareState(dict, strict);
    const first = dict[`${this.keyPrefix}${this.names[0]}.weight`];
    const apart = this.float8Config !== null && first?.rank === 2;
    const local = [
      'weight',
      ...(apart ? ['weight_scale'] : []),
      ...(this.inputScale === null ? [] : ['input_scale']),
      ...(this.hasBias ? ['bias'] : []),
    ];
    checkKeys(
      dict,
      this.names.flatMap((name) => local.map((key) => `${this.keyPrefix}${name}.${key}`)),
      strict,
      this.name,
    );
    const parts = (key: string) => this.names.map((name) => dict[`${this.keyPrefix}${name}.${key}`] as tf.Tensor);
    const joined = tf.tidy(() => Object.fromEntries(local.map((key) => [this.keyPrefix + key, this.joined(key, parts(key))]))) as Record<
      string,
      tf.Tensor
    >;
    try {
      return super.prepareState(joined, true);
    } finally {
      tf.dispose(joined);
    }
  }

  override getConfig(): tf.serialization.ConfigDict {
    const {outDims, names, stacked} = this;
    return toSavedConfig({...fromSavedConfig<LinearConfig>(super.getConfig()), outDims, names, stacked});
  }

  private get cuts(): Cut[] {
    let begin = 0;
    return this.outDims.map((rows) => {
      const first = begin;
      begin += rows;
      return {rows: [[first, begin]], columns: [[0, this.inDim]], bias: 'rows'};
    });
  }

  /** A projection's part of the weight under its state key: rows of numbers, or words. */
  private partOf(weight: tf.Tensor, cut: Cut): tf.Tensor {
    const [[begin, end]] = cut.rows as [Range];
    const {layout} = this.core.config;
    if (layout === null) return tf.slice(weight, [begin, 0], [end - begin, this.inDim]);
    return tf.tensor1d(cutRecord({layout, words: weight.dataSync() as Int32Array}, cut).words, 'int32');
  }

  private joined(key: string, parts: tf.Tensor[]): tf.Tensor {
    const [first] = parts as [tf.Tensor];
    switch (key) {
      case 'weight':
        return first.rank === 1 ? this.joinedWords(parts) : this.joinedRows(key, parts, 1);
      case 'bias':
        parts.forEach((part, i) => checkShape(part, [this.outDims[i] as number], `${this.name}: ${this.names[i]}.bias`));
        return tf.concat(parts, 0);
      case 'weight_scale':
        return this.joinedScales(parts);
      default:
        return this.sameNumber(key, parts);
    }
  }

  /** Matrices with an entry for `each` rows of their projection: the sum alone would fit where two were mistaken for each other. */
  private joinedRows(key: string, parts: tf.Tensor[], each: number): tf.Tensor {
    const columns = parts[0]?.shape[1] ?? 0;
    parts.forEach((part, i) => {
      checkShape(part, [Math.ceil((this.outDims[i] as number) / each), columns], `${this.name}: ${this.names[i]}.${key}`);
    });
    return tf.concat(parts, 0);
  }

  private joinedWords(parts: readonly tf.Tensor[]): tf.Tensor {
    const {cuts} = this;
    const layout = this.core.config.layout as WeightLayout;
    const empty = {layout, words: emptyWords(layout)};
    const records = parts.map((part, i): HostRecord => {
      const own = cutRecord(empty, cuts[i] as Cut).layout;
      checkShape(part, [sectionsOf(own).length], `${this.name}: ${this.names[i]}.weight, packed words`);
      return {layout: own, words: part.dataSync() as Int32Array};
    });
    return tf.tensor1d(joinRecords(layout, cuts, records), 'int32');
  }

  /** Rows' and blocks' scales one below the other; a number stands for all rows of its projection. Scales of columns must be the same for all. */
  private joinedScales(parts: tf.Tensor[]): tf.Tensor {
    const {weightScale} = this.float8Config as NonNullable<typeof this.float8Config>;
    if (weightScale.isRowwise) return tf.concat(parts.map((part, i) => this.scalesOfRows(part, i)));
    const rows = weightScale.blockSize?.[0] ?? 1;
    const whole = this.outDims.slice(0, -1).every((n) => n % rows === 0);
    return weightScale.isBlock && whole ? this.joinedRows('weight_scale', parts, rows) : this.sameNumber('weight_scale', parts);
  }

  /** [rows of projection i] */
  private scalesOfRows(scale: tf.Tensor, i: number): tf.Tensor1D {
    const rows = this.outDims[i] as number;
    if (scale.size === 1) return tf.tile(tf.reshape(scale, [1]), [rows]);
    checkShape(scale, scale.rank === 2 ? [rows, 1] : [rows], `${this.name}: ${this.names[i]}.weight_scale`);
    return tf.reshape(scale, [rows]);
  }

  private sameNumber(key: string, parts: readonly tf.Tensor[]): tf.Tensor {
    const [first, ...rest] = parts.map((part) => Array.from(part.dataSync()).join());
    if (rest.every((numbers) => numbers === first)) return tf.clone(parts[0] as tf.Tensor);
    throw new UnsupportedError({
      where: `${this.name}: ${key}`,
      expected: 'the same scale for all projections',
      received: parts.map((part, i) => `${this.names[i]} ${Array.from(part.dataSync()).slice(0, 4)}`).join(', '),
      why: 'One record has one of them, and rounding the weights anew would change them.',
      remedy: 'Use one Linear a projection.',
    });
  }
}

/** A scale of the tensor is one for the rows of each projection. */
function scaledByRow(given: LinearConfig['float8Config']): Float8Config | null {
  if (given === undefined || given === null) return null;
  const config = given instanceof Float8Config ? given : new Float8Config(given);
  const {granularity, dtype} = config.weightScale;
  if (granularity !== 'tensor') return config;
  const {inputScale, mlpInFloat8, attnQkvInFloat8, embeddingOutputDtype, quantMethod} = config;
  const weightScale = {granularity: 'rowwise', dtype} as const;
  return new Float8Config({inputScale, weightScale, mlpInFloat8, attnQkvInFloat8, embeddingOutputDtype, quantMethod});
}

tf.serialization.registerClass(StackedLinear as unknown as tf.serialization.SerializableConstructor<StackedLinear>);

/**
 * A `StackedLinear`, as `tf.layers` factories make layers.
 *
 * ```js
 * tfl.stackedLinear({inDim: 4, outDims: [4, 2], names: ['q', 'k']}).outDim; // 6
 * ```
 */
export function stackedLinear(config: StackedLinearConfig): StackedLinear {
  return new StackedLinear(config);
}
