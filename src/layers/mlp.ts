/** MLP: the gated feed-forward block, down(act(gate(x)) * up(x)). */
import * as tf from '@tensorflow/tfjs';
import type {Activation} from '../../kernels/activation.js';
import type {ProductStep, StepAround} from '../../kernels/chain.js';
import {checkActivation} from '../../kernels/contract.js';
import {gatedActivation, gateTensors, rmsNorm} from '../../kernels/fused.js';
import {AROUND_OPTIONS, type Around, surround} from '../../kernels/fused_matmul.js';
import {checkDim, checkName, checkOptions} from '../arguments.js';
import type {DeviceRef} from '../device.js';
import {ArgumentError} from '../errors.js';
import {runAsync, runSync} from '../sharding/flow.js';
import {checkMLPStrategy, shardMLP, shardMLPAsync} from '../sharding/shard_mlp.js';
import type {ShardingStrategy} from '../sharding/strategy.js';
import {fromSavedConfig, registeredName, toSavedConfig} from './config.js';
import {GatedActivation} from './gated_activation.js';
import {windowOf} from './half_window.js';
import {autoName, Linear, type LinearConfig, type LinearInit} from './linear.js';
import {MLP_OPTIONS, type MLPConfig} from './mlp_config.js';
import {coreOf, mlpFlow} from './mlp_flow.js';
import {allOrNone, classOf} from './mlp_projections.js';
import {loadMLPState} from './mlp_state.js';
import {type DisposeResult, disposeLayer} from './reference.js';
import {oneInput, outputShape} from './shapes.js';
import {devicesOf} from './sharded_linear.js';
import {partsFor} from './spread_parts.js';
import {type StateDict, strictOf} from './state.js';
import {type PrintLine, withTotals} from './summary.js';
import {refuseFrozen} from './train.js';

export type {LinearClass, MLPConfig} from './mlp_config.js';

/** Values for the projections by child name, taken over. Internal. */
export type MLPInit = Readonly<Record<string, LinearInit>>;

/** Other projections than Linears on one device. Internal. */
export interface MLPParts {
  /** They lie on several devices, cut to fit each other. */
  readonly isSpread?: true;
  make(child: string, config: LinearConfig, init: LinearInit): Linear;
  half(stacked: Linear, which: 0 | 1, name: string): Linear;
}

/**
 * y = down(act(gate(x)) * up(x)), x [..., H] -> [..., H], any rank. State keys: gate_proj.weight, up_proj.weight, down_proj.weight and
 * their biases. Source: MAX `max.nn.linear.MLP`. Differs: any rank; clipping, biases and overrides of `linearCls` are never skipped.
 *
 * ```js
 * const mlp = new tfl.MLP({hiddenDim: 4, feedForwardLength: 8, activationFunction: 'gelu'});
 * mlp.forward(tf.ones([2, 3, 4])).shape; // [2, 3, 4]
 * ```
 */
export class MLP extends tf.LayersModel {
  static override className = 'TflMLP';
  readonly hiddenDim: number;
  readonly feedForwardLength: number;
  readonly activationFunction: Activation;
  /** Both factors of the gating stay within it; null: no limit. */
  readonly swigluLimit: number | null;
  readonly gateProj: Linear;
  readonly upProj: Linear;
  readonly downProj: Linear;
  /** gate and up as one record, rows of gate first: one matmul reads both. null where they are apart. */
  readonly gateUp: Linear | null;
  /** Whether the projections lie on several devices, cut to fit each other. */
  readonly isSpread: boolean;
  private readonly config: MLPConfig;
  private strategyOfShards: ShardingStrategy | null = null;

  constructor(config: MLPConfig, init: MLPInit = {}, given: MLPParts | null = null) {
    checkOptions(config?.name ?? 'MLP', config, MLP_OPTIONS);
    checkName(config.name, 'MLP');
    const name = config.name ?? autoName('mlp');
    const hidden = checkDim(config.hiddenDim, 'hiddenDim', name);
    const inner = checkDim(config.feedForwardLength, 'feedForwardLength', name);
    const activation = config.activationFunction ?? 'silu';
    checkActivation(activation, name, 'activationFunction');
    const limit = config.swigluLimit ?? null;
    if (limit !== null && !(typeof limit === 'number' && limit > 0)) {
      throw new ArgumentError({where: `${name}: swigluLimit`, expected: 'a positive number, or null', received: limit});
    }
    if (config.devices !== undefined) devicesOf(config.devices, name);
    checkOptions(`${name}: children`, config.children ?? {}, ['gate_proj', 'up_proj', 'gate_up', 'down_proj']);
    const cls = classOf(config.linearCls ?? Linear, name);
    const parts = given ?? partsFor(config, name);
    const base = {
      ...(config.dtype === undefined ? {} : {dtype: config.dtype}),
      quantizationEncoding: config.quantizationEncoding ?? null,
      float8Config: config.float8Config ?? null,
      device: config.devices?.[0] ?? null,
      hasBias: config.hasBias ?? false,
    };
    const make = (child: string, inDim: number, outDim: number) => {
      const own = {...base, inDim, outDim, ...config.children?.[child], name: `${name}_${child}`};
      return parts === null ? new cls(own, init[child] ?? {}) : parts.make(child, own, init[child] ?? {});
    };
    const half = parts?.half ?? windowOf;
    const input = tf.input({shape: [hidden], name: `${name}_input`});
    const [stacked, gate, up, down, output] = allOrNone((keep) => {
      const both = config.children?.gate_up === undefined ? null : keep(make('gate_up', hidden, 2 * inner));
      const one = (child: string, which: 0 | 1) => keep(both === null ? make(child, hidden, inner) : half(both, which, `${name}_${child}`));
      const [first, second, last] = [one('gate_proj', 0), one('up_proj', 1), keep(make('down_proj', inner, hidden))];
      const halves = (both === null ? [first.apply(input), second.apply(input)] : both.apply(input)) as tf.SymbolicTensor;
      const gated = new GatedActivation(activation, limit).apply(halves) as tf.SymbolicTensor;
      return [both, first, second, last, last.apply(gated) as tf.SymbolicTensor] as const;
    });
    super({inputs: input, outputs: output, name});
    this.hiddenDim = hidden;
    this.feedForwardLength = inner;
    this.activationFunction = activation;
    this.swigluLimit = limit;
    this.gateProj = gate;
    this.upProj = up;
    this.downProj = down;
    this.gateUp = stacked;
    this.isSpread = parts?.isSpread === true;
    this.config = config;
    this.trainable = config.trainable ?? true;
  }

  /** How `shard` spreads it; null: not set. */
  get sharding(): ShardingStrategy | null {
    return this.strategyOfShards;
  }

  /** tensorParallel (gate and up by rows, down by columns) or replicate. Throws UnsupportedError for another, on a shard, and where it is spread. */
  setSharding(strategy: ShardingStrategy): void {
    this.strategyOfShards = checkMLPStrategy(this, strategy);
  }

  /** An MLP for each device; with tensorParallel the sum of their results is this one's. Source: MAX 26 `MLP.shard`. Throws as Linear.shard. */
  shard(devices: readonly (DeviceRef | string)[]): MLP[] {
    return shardMLP(this, this.strategyOfShards, devices);
  }

  /** As `shard`, where the weights lie on a device that cannot be read synchronously. */
  shardAsync(devices: readonly (DeviceRef | string)[]): Promise<MLP[]> {
    return shardMLPAsync(this, this.strategyOfShards, devices);
  }

  /** x [..., H] -> [..., H]. Throws DeviceError where it lies on several devices of which one has to be awaited. */
  forward(x: tf.Tensor): tf.Tensor {
    if (this.isSpread) return runSync(() => mlpFlow(this, [x], this.home));
    return this.run(x, {});
  }

  /** residual + forward(norm(x)): the block and what surrounds it, which packed weights do in two ops. See Linear.forwardAround. */
  forwardAround(x: tf.Tensor, around: Around): tf.Tensor {
    checkOptions(`${this.name}: forwardAround`, around, AROUND_OPTIONS);
    if (this.isSpread || this.forward !== MLP.prototype.forward || around.gate) return surround(x, around, (rows) => this.forward(rows));
    return this.run(x, around);
  }

  /** residual + forward(norm(x)) as steps of `ops.chain`; null where it is none, as Linear.chainSteps has it, or gate and up lie apart. */
  chainSteps(around: StepAround = {}): readonly ProductStep[] | null {
    checkOptions(`${this.name}: chainSteps`, around, AROUND_OPTIONS);
    const {norm = null, gate = null, residual = null} = around;
    if (this.isSpread || this.forward !== MLP.prototype.forward || gate !== null || this.swigluLimit !== null) return null;
    const first = this.gateUp?.chainSteps({norm, gate: this.activationFunction}) ?? null;
    // What down is given is one step further from x.
    const second = this.downProj.chainSteps({residual: residual === null ? null : residual + 1});
    return first === null || second === null ? null : [...first, ...second];
  }

  private run(x: tf.Tensor, {norm = null, residual = null}: Around): tf.Tensor {
    const {activationFunction: act, swigluLimit: limit, gateUp, gateProj, upProj, downProj} = this;
    // A tidy has its price: it is left out where one tensor is all there is to free.
    if (gateUp !== null && limit === null) {
      const gated = gateUp.forwardAround(x, {norm, gate: act});
      try {
        return downProj.forwardAround(gated, {residual});
      } finally {
        gated.dispose();
      }
    }
    return tf.tidy(() => {
      let gated: tf.Tensor;
      if (gateUp === null) {
        const rows = norm === null ? x : rmsNorm(x, norm.weight, norm.epsilon);
        gated = gateTensors(act, gateProj.forward(rows), upProj.forward(rows), limit);
      } else gated = gatedActivation(gateUp.forwardAround(x, {norm}), act, limit);
      return downProj.forwardAround(gated, {residual});
    });
  }

  /** As `forward`, for every device. */
  async forwardAsync(x: tf.Tensor): Promise<tf.Tensor> {
    if (!this.isSpread) return this.forward(x);
    const {home} = this;
    return runAsync(() => mlpFlow(this, [x], home));
  }

  /** Where results of a spread one lie. */
  private get home(): string {
    return coreOf(this.downProj).home;
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return this.forward(oneInput(inputs, this.name));
  }

  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
    return outputShape(inputShape, this.hiddenDim, this.hiddenDim, this.name);
  }

  override predict(x: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return this.call(x);
  }

  /** What fit, fitDataset and trainOnBatch train with. Throws UnsupportedError where nothing trains: packed weights are frozen. */
  protected override makeTrainFunction(): (data: tf.Tensor[]) => tf.Scalar[] {
    refuseFrozen(this);
    return super.makeTrainFunction();
  }

  override countParams(): number {
    return this.gateProj.countParams() + this.upProj.countParams() + this.downProj.countParams();
  }

  /** As of any tf.LayersModel; the totals count parameters, not packed words, and the bytes that they take come below. */
  override summary(lineLength?: number, positions?: number[], printFn: PrintLine = console.log): void {
    super.summary(lineLength, positions, withTotals({total: this.countParams(), bytes: this.byteLength}, printFn));
  }

  /** Frees the weights; with the model that the layer is in, if it is in one. */
  override dispose(): DisposeResult {
    const result = disposeLayer(this, () => super.dispose());
    // Views of a stacked record are no part of the graph.
    if (result.refCountAfterDispose === 0 && this.gateUp !== null) {
      this.gateProj.dispose();
      this.upProj.dispose();
    }
    return result;
  }

  /** Bytes resident. */
  get byteLength(): number {
    const inside = this.gateUp === null ? this.gateProj.byteLength + this.upProj.byteLength : this.gateUp.byteLength;
    return inside + this.downProj.byteLength;
  }

  /** Takes `gate_proj.weight` [F, H], `up_proj.weight` [F, H], `down_proj.weight` [H, F] and biases, all or none. Throws as Linear.loadStateDict. */
  loadStateDict(dict: StateDict, options: {strict?: boolean} = {}): void {
    loadMLPState(this, dict, strictOf(options, this.name));
  }

  /** The projections' state under `gate_proj.`, `up_proj.` (or `gate_up.` where they are one) and `down_proj.`. */
  stateDict(): Record<string, tf.Tensor> {
    const prefix = this.keyPrefix;
    const dict: Record<string, tf.Tensor> = {};
    for (const [child, l] of this.projections()) {
      for (const [key, value] of Object.entries(l.stateDict())) dict[`${prefix}${child}.${key.slice(l.keyPrefix.length)}`] = value;
    }
    return dict;
  }

  override getConfig(): tf.serialization.ConfigDict {
    const {linearCls = Linear, devices, children: _children, ...rest} = this.config;
    const children = Object.fromEntries(this.projections().map(([child, l]) => [child, fromSavedConfig<LinearConfig>(l.getConfig())]));
    const config = {
      ...rest,
      linearCls: typeof linearCls === 'string' ? linearCls : registeredName(linearCls, this.name),
      name: this.name,
      autoNamed: this.keyPrefix === '',
      activationFunction: this.activationFunction,
      devices: devices?.map(String),
      children,
    };
    return toSavedConfig(config);
  }

  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    return new cls(fromSavedConfig(config));
  }

  /** What state keys begin with: '' or 'name.'. */
  get keyPrefix(): string {
    return this.config.name === undefined || this.config.autoNamed === true ? '' : `${this.config.name}.`;
  }

  /** The records by child name: gate_proj and up_proj, or gate_up where they are one, and down_proj. */
  projections(): [string, Linear][] {
    const inside: [string, Linear][] =
      this.gateUp === null
        ? [
            ['gate_proj', this.gateProj],
            ['up_proj', this.upProj],
          ]
        : [['gate_up', this.gateUp]];
    return [...inside, ['down_proj', this.downProj]];
  }
}

tf.serialization.registerClass(MLP as unknown as tf.serialization.SerializableConstructor<MLP>);

/**
 * An `MLP`, as `tf.layers` factories make layers.
 *
 * ```js
 * tfl.mlp({hiddenDim: 4, feedForwardLength: 8}).countParams(); // 96
 * ```
 */
export function mlp(config: MLPConfig): MLP {
  return new MLP(config);
}
