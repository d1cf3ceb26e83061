/** Linear: y = x . W^T + b with W dense, 16-bit or packed. */
import * as tf from '@tensorflow/tfjs';
import type {InputPrecision} from '../../kernels/attributes.js';
import type {ProductStep, StepAround} from '../../kernels/chain.js';
import {AROUND_OPTIONS, type Around, surround} from '../../kernels/fused_matmul.js';
import type {InputQuantization} from '../../kernels/input_quantization.js';
import {checkObject, checkOptions} from '../arguments.js';
import type {Float8Config, Float8ConfigFields} from '../config/float8.js';
import type {DeviceRef} from '../device.js';
import type {DType} from '../dtype.js';
import {checkSetSharding, shardLinear, shardLinearAsync} from '../sharding/shard_linear.js';
import type {ShardingStrategy} from '../sharding/strategy.js';
import {fromSavedConfig, toSavedConfig} from './config.js';
import type {CoreConfig, LayerWeight} from './core_config.js';
import {inputQuantizationOf} from './float8.js';
import {type LinearConfig, type LinearInit, resolveLinear} from './linear_config.js';
import {LinearCore} from './linear_core.js';
import type {LayerOrigin} from './origin.js';
import {type DisposeResult, disposeLayer} from './reference.js';
import {oneInput} from './shapes.js';
import {type PreparedState, prepareLinearState, STATE, type StateDict, strictOf} from './state.js';
import {type PrintLine, withTotals} from './summary.js';
import {refuseFrozen} from './train.js';

export {autoName, type LinearConfig, type LinearInit} from './linear_config.js';

/**
 * A linear layer, x [..., K] -> [..., N], any rank from 1, M = 0 included. A `tf.LayersModel`: use it alone (`forward`, `apply`,
 * `predict`, `save`) or inside `tf.sequential` and functional models.
 * Source: MAX `max.nn.linear.Linear`. Differs: any rank, f32 output, packed weights of any format, a negative `clipWeight` is refused.
 *
 * ```js
 * const layer = new tfl.Linear({inDim: 2, outDim: 1, hasBias: true});
 * layer.loadStateDict({weight: tf.tensor2d([[1, 2]]), bias: tf.tensor1d([0.5])});
 * layer.forward(tf.tensor2d([[3, 4]])).print(); // [[11.5]]
 * ```
 */
export class Linear extends tf.LayersModel {
  static override className = 'TflLinear';
  readonly inDim: number;
  readonly outDim: number;
  /** What the weight is held as (tf.js's own `dtype` of a layer stays float32: the type of x and y). */
  readonly weightDType: DType;
  readonly device: DeviceRef | null;
  readonly hasBias: boolean;
  readonly clipWeight: number | null;
  /** The tf.js activation applied to y; null: none. */
  readonly activation: string | null;
  protected readonly core: LinearCore;
  private readonly explicitName: string | null;
  private strategyOfShards: ShardingStrategy | null = null;

  constructor(config: LinearConfig, init: LinearInit = {}) {
    const resolved = resolveLinear(config, init);
    const core = init.makeCore?.(resolved.core) ?? new LinearCore(resolved.core);
    const input = tf.input({shape: [config.inDim], name: `${resolved.name}_input`});
    super({inputs: input, outputs: core.apply(input) as tf.SymbolicTensor, name: resolved.name});
    this.core = core;
    this.inDim = config.inDim;
    this.outDim = config.outDim;
    this.hasBias = resolved.core.hasBias;
    this.weightDType = resolved.dtype;
    this.device = resolved.core.device;
    this.clipWeight = resolved.core.clipWeight;
    this.activation = resolved.core.activation?.name ?? null;
    this.explicitName = config.autoNamed === true ? null : (config.name ?? null);
    this.trainable = resolved.core.trainable;
  }

  /** The weight [N, K]: packed (QuantizedWeight) or dense. Owned by the layer. */
  get weight(): LayerWeight {
    return this.core.weight;
  }

  /** [N] float32 or null. Owned by the layer. */
  get bias(): tf.Tensor1D | null {
    return this.core.bias;
  }

  /** 'auto' or 'float32'. */
  get inputPrecision(): InputPrecision {
    return this.core.config.inputPrecision;
  }

  /** How x is rounded before the product; null: not at all. */
  get inputQuantization(): InputQuantization | null {
    return this.core.inputQuantization;
  }

  /** As given; null without. */
  get float8Config(): Float8Config | null {
    return this.core.config.float8;
  }

  /** The static scale of x where it is a weight (of a float8Config, or given as a tensor), else null. Owned by the layer. */
  get inputScale(): tf.Tensor | null {
    return this.core.inputScale;
  }

  /** The scale of a float8Config's weight as a new tensor, the caller's to dispose: [] (tensor), [N, 1], [1, K] or the blocks' grid; null without. */
  get weightScale(): tf.Tensor | null {
    return this.core.weightScale();
  }

  /** Where the packed record came from; null for a layer that no file holds. */
  get origin(): LayerOrigin | null {
    return this.core.config.origin;
  }

  /** What state keys begin with: '' or 'name.'. */
  get keyPrefix(): string {
    return this.explicitName === null ? '' : `${this.explicitName}.`;
  }

  /** x [..., K] -> [..., N]. The same numbers as `apply`, without the symbolic machinery's cost. */
  forward(x: tf.Tensor): tf.Tensor {
    return this.core.forward(x);
  }

  /**
   * residual + gate(forward(norm(x))): the layer and what surrounds it in a residual block, which a packed weight does in one op (`ops.fusedMatMul`).
   *
   * ```js
   * const layer = new tfl.Linear({inDim: 2, outDim: 2});
   * layer.loadStateDict({weight: tf.tensor2d([[1, 0], [0, 1]])});
   * layer.forwardAround(tf.tensor2d([[3, 4]]), {residual: tf.tensor2d([[10, 20]])}).print(); // [[13, 24]]
   * ```
   */
  forwardAround(x: tf.Tensor, around: Around): tf.Tensor {
    checkOptions(`${this.name}: forwardAround`, around, AROUND_OPTIONS);
    if (!(around.norm || around.gate || around.residual)) return this.forward(x);
    // A forward of one's own is not passed by.
    if (this.forward !== Linear.prototype.forward) return surround(x, around, (rows) => this.forward(rows));
    return this.core.forwardAround(x, around);
  }

  /**
   * residual + gate(forward(norm(x))) as a step of `ops.chain`, residual as steps have it. null where it is none: a float32 or clipped weight,
   * several devices or another than the current backend, a forward of one's own.
   *
   * ```js
   * const layer = new tfl.Linear({inDim: 2, outDim: 2, dtype: 'bfloat16'});
   * layer.loadStateDict({weight: tf.tensor2d([[1, 0], [0, 1]])});
   * tfl.ops.chain(tf.tensor2d([[3, 4]]), layer.chainSteps({residual: 1})).print(); // [[6, 8]]
   * ```
   */
  chainSteps(around: StepAround = {}): readonly ProductStep[] | null {
    const step = this.forward === Linear.prototype.forward ? this.core.chainStep(around) : null;
    return step === null ? null : [step];
  }

  /** As `forward`; for devices that cannot answer synchronously. */
  async forwardAsync(x: tf.Tensor): Promise<tf.Tensor> {
    return this.forward(x);
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return this.core.call(inputs);
  }

  /** A mask of x is one of y. */
  override computeMask(_inputs: tf.Tensor | tf.Tensor[], mask?: tf.Tensor | tf.Tensor[]): tf.Tensor | tf.Tensor[] {
    return (mask ?? null) as tf.Tensor;
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    return this.core.computeOutputShape(inputShape);
  }

  /** As `forward`: any rank, any number of rows, in one batch. */
  override predict(x: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return this.forward(oneInput(x, this.name));
  }

  /** What fit, fitDataset and trainOnBatch train with. Throws UnsupportedError where nothing trains: packed weights are frozen. */
  protected override makeTrainFunction(): (data: tf.Tensor[]) => tf.Scalar[] {
    refuseFrozen(this);
    return super.makeTrainFunction();
  }

  /** Parameters of the model: N * K weights (not packed words) and N biases. */
  override countParams(): number {
    return this.core.countParams();
  }

  /** As of any tf.LayersModel; the totals count parameters, not packed words, and the bytes that they take come below. */
  override summary(lineLength?: number, positions?: number[], printFn: PrintLine = console.log): void {
    super.summary(lineLength, positions, withTotals({total: this.countParams(), bytes: this.byteLength}, printFn));
  }

  /** Frees the weight and bias; with the model that the layer is in, if it is in one. */
  override dispose(): DisposeResult {
    return disposeLayer(this, () => super.dispose());
  }

  /** Bytes resident: the weight as stored, and the bias. */
  get byteLength(): number {
    return this.weight.byteLength + (this.hasBias ? this.outDim * 4 : 0);
  }

  /**
   * Takes values: `weight` [N, K] float32 (rounded once where the layer is 16-bit) or, for a packed layer, its words int32 [L];
   * `bias` [N]. With a float8Config: `weight` [N, K] float32 numbers that e4m3fn has, or int32 codes; `weight_scale`; `input_scale` if static.
   * Keys carry the explicit name. Copies; the caller keeps its tensors.
   * Throws MissingError for a missing key, UnusedTensorError for one too many (`strict`), ShapeError; the layer is then unchanged.
   */
  loadStateDict(dict: StateDict, options: {strict?: boolean} = {}): void {
    checkObject(this.name, dict, STATE);
    this.prepareState(dict, strictOf(options, this.name)).commit();
  }

  /** The checks and conversions of loadStateDict, with nothing changed yet. Throws as it does. Internal. */
  prepareState(dict: StateDict, strict: boolean): PreparedState {
    return prepareLinearState(this, this.core, dict, strict);
  }

  /** `weight` and `bias` as new tensors that the caller disposes: float32 [N, K] of a dense layer, the words of a packed one. */
  stateDict(): Record<string, tf.Tensor> {
    const dict: Record<string, tf.Tensor> = {[`${this.keyPrefix}weight`]: this.core.weightTensor()};
    if (this.inputScale !== null) dict[`${this.keyPrefix}input_scale`] = tf.clone(this.inputScale);
    if (this.bias !== null) dict[`${this.keyPrefix}bias`] = tf.clone(this.bias);
    return dict;
  }

  /** How `shard` spreads the layer; null: not set. */
  get sharding(): ShardingStrategy | null {
    return this.strategyOfShards;
  }

  /** Source: MAX `Linear.set_sharding`. Throws ArgumentError for what is no strategy, UnsupportedError on a shard. */
  setSharding(strategy: ShardingStrategy): void {
    checkSetSharding(this, strategy);
    this.strategyOfShards = strategy;
  }

  /**
   * A layer for each shard on its device; this layer keeps its weight, dispose it. Rows split: concatenate the results. Columns split: give each its
   * columns of x and add the results. A shard rounds (inputQuantization) what it sees; ShardedLinear rounds and combines as one layer would.
   * Throws ArgumentError without a strategy or with another number of devices.
   */
  shard(devices: readonly (DeviceRef | string)[]): Linear[] {
    return shardLinear(this, this.core, this.strategyOfShards, devices);
  }

  /** As `shard`, where the weight lies on a device that cannot be read synchronously. */
  shardAsync(devices: readonly (DeviceRef | string)[]): Promise<Linear[]> {
    return shardLinearAsync(this, this.core, this.strategyOfShards, devices);
  }

  override getConfig(): tf.serialization.ConfigDict {
    const {core} = this;
    const config: LinearConfig = {
      name: this.name,
      autoNamed: this.explicitName === null,
      inDim: this.inDim,
      outDim: this.outDim,
      dtype: this.weightDType,
      device: this.device?.backendName ?? null,
      hasBias: this.hasBias,
      clipWeight: this.clipWeight,
      inputPrecision: core.config.inputPrecision,
      ...inputArguments(core.config),
      float8Config: (core.config.float8?.toJSON() ?? null) as unknown as Float8ConfigFields | null,
      activation: this.activation,
      quantizationEncoding: core.config.encoding,
      trainable: this.trainable,
      layout: core.config.layout,
      origin: core.config.origin,
    };
    return toSavedConfig(config);
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    return new cls(fromSavedConfig(config));
  }
}

/** The arguments that say how x is rounded. A float8Config says so by itself: its own rounding comes back as null. */
function inputArguments({float8, inputQuantization, scaleShape}: CoreConfig): Pick<LinearConfig, 'inputQuantization' | 'inputScaleShape'> {
  const own = float8 === null ? null : inputQuantizationOf(float8);
  const follows = own !== null && JSON.stringify(own) === JSON.stringify(inputQuantization);
  if (follows) return {inputQuantization: null};
  const scheme = float8 !== null && inputQuantization === null ? 'none' : inputQuantization;
  return scaleShape === null ? {inputQuantization: scheme} : {inputQuantization: scheme, inputScaleShape: scaleShape};
}

tf.serialization.registerClass(Linear as unknown as tf.serialization.SerializableConstructor<Linear>);

/**
 * A `Linear`, as `tf.layers.dense` makes a Dense.
 *
 * ```js
 * tfl.linear({inDim: 3, outDim: 2, hasBias: true}).countParams(); // 8
 * ```
 */
export function linear(config: LinearConfig): Linear {
  return new Linear(config);
}
