/** ColumnParallelLinear: output channels spread over devices, results gathered. */
import * as tf from '@tensorflow/tfjs';
import type {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {checkObject} from '../arguments.js';
import {ArgumentError, ShapeError, UnsupportedError} from '../errors.js';
import {ShardedCore, type ShardPlan} from '../sharding/sharded_core.js';
import type {ShardedWeight} from '../sharding/sharded_weight.js';
import {ShardingStrategy, type StrategyConfig} from '../sharding/strategy.js';
import {layoutOfTied, tiedShards} from '../sharding/tied.js';
import type {CoreConfig} from './core_config.js';
import type {DenseWeight} from './dense_weight.js';
import {Linear} from './linear.js';
import type {LinearInit} from './linear_config.js';
import {devicesOf, homeOf, ShardedLinear, type ShardedLinearConfig} from './sharded_linear.js';
import {checkKeys, checkShape, ownFloats, type PreparedState, type StateDict} from './state.js';

/** A weight that another layer owns, such as an embedding's, or that layer. */
export type TiedWeight = Linear | QuantizedWeight | DenseWeight | ShardedWeight;

export interface ColumnParallelLinearConfig extends Omit<ShardedLinearConfig, 'strategy'> {
  /** [outDim, inDim]. Its rows are used where they lie, not stored again; those for a device on another backend are copied there once. */
  tiedWeight?: TiedWeight | null;
  /** Rows each device gets, in proportion; `manager.shares` after a measurement. Default: evenly. */
  shares?: readonly number[] | null;
  /** Set by `getConfig`. */
  strategy?: ShardingStrategy | StrategyConfig;
}

/**
 * y = all-gather of y_i = x . W_i^T + b_i, with the rows of W (output channels) and b split over devices, the first ones getting one more.
 * `forward` gives the whole y on the current backend (or `home`), `forwardEach` on every device.
 * Source: MAX `max.nn.linear.ColumnParallelLinear`. Differs: a device may come several times, scales and act-order are split with the codes, a tied
 * weight may have a bias and any format. Throws ArgumentError for an empty list of devices, ShapeError for a tied weight of another shape.
 *
 * ```js
 * const head = new tfl.ColumnParallelLinear({inDim: 4, outDim: 7, devices: ['cpu', 'cpu', 'cpu'], hasBias: true});
 * head.forward(tf.ones([2, 4])).shape; // [2, 7]
 * head.places.map((place) => place.rows); // [[[0, 3]], [[3, 5]], [[5, 7]]]
 * ```
 */
export class ColumnParallelLinear extends ShardedLinear {
  static override className = 'TflColumnParallelLinear';
  /** Is the weight another layer's? Then it is neither saved nor loaded with this one. */
  readonly isTied: boolean;

  constructor(config: ColumnParallelLinearConfig, init: LinearInit = {}) {
    checkObject('ColumnParallelLinear', config);
    const {tiedWeight = null, shares = null, ...rest} = config;
    const where = config.name ?? 'ColumnParallelLinear';
    const devices = devicesOf(config.devices, where);
    const strategy = config.strategy ?? ShardingStrategy.rowwise(devices.length).withShares(shares);
    if (tiedWeight === null) {
      super({...rest, strategy}, init);
    } else {
      const weight = tiedWeight instanceof Linear ? tiedWeight.weight : tiedWeight;
      if (weight?.byteLength === undefined) {
        const received = String((weight as object | null)?.constructor?.name ?? weight);
        throw new ArgumentError({where: `${where}: tiedWeight`, expected: "a Linear, or a layer's weight", received});
      }
      const {outDim, inDim} = config;
      if (weight.outDim !== outDim || weight.inDim !== inDim) {
        throw new ShapeError({where: `${where}: tiedWeight`, expected: `[${outDim}, ${inDim}]`, received: `[${weight.shape}]`});
      }
      const plan = {
        strategy: strategy instanceof ShardingStrategy ? strategy : ShardingStrategy.from(strategy),
        devices,
        home: homeOf(config.home),
      };
      super({...rest, strategy, layout: layoutOfTied(weight, where)}, {...init, makeCore: (core) => tiedCore(core, plan, weight)});
    }
    this.isTied = tiedWeight !== null;
  }

  override countParams(): number {
    if (!this.isTied) return super.countParams();
    return this.hasBias ? this.outDim : 0;
  }

  /** As Linear's; of a tied layer the bias alone. */
  override stateDict(): Record<string, tf.Tensor> {
    if (!this.isTied) return super.stateDict();
    const {bias} = this;
    return bias === null ? {} : {[`${this.keyPrefix}bias`]: tf.clone(bias)};
  }

  override prepareState(dict: StateDict, strict: boolean): PreparedState {
    if (!this.isTied) return super.prepareState(dict, strict);
    const key = `${this.keyPrefix}bias`;
    checkKeys(dict, this.hasBias ? [key] : [], strict, this.name);
    if (this.hasBias) checkShape(dict[key] as tf.Tensor, [this.outDim], `${this.name}: ${key}`);
    const bias = this.hasBias ? ownFloats(dict[key] as tf.Tensor) : null;
    const dispose = () => bias?.dispose();
    return {
      commit: () => {
        if (bias !== null) this.spread.setBias(bias);
        dispose();
      },
      dispose,
    };
  }

  /** Throws UnsupportedError for a tied layer: a file would hold it without its weight. */
  override getConfig(): tf.serialization.ConfigDict {
    if (!this.isTied) return super.getConfig();
    throw new UnsupportedError({
      where: this.name,
      expected: 'a layer with a weight of its own',
      received: 'one tied to the weight of another',
      remedy: 'Save the owner of the weight, and build this layer over it after loading.',
    });
  }
}

function tiedCore(config: CoreConfig, plan: ShardPlan, weight: QuantizedWeight | DenseWeight | ShardedWeight): ShardedCore {
  const shards = tiedShards(weight, config, plan.devices, plan.strategy.cuts([config.outDim, config.inDim]));
  return new ShardedCore(config, {...plan, shards});
}

tf.serialization.registerClass(ColumnParallelLinear as unknown as tf.serialization.SerializableConstructor<ColumnParallelLinear>);

/**
 * A `ColumnParallelLinear`, as `tf.layers` factories make layers.
 *
 * ```js
 * tfl.columnParallelLinear({inDim: 4, outDim: 5, devices: ['cpu', 'wasm']}).countParams(); // 20
 * ```
 */
export function columnParallelLinear(config: ColumnParallelLinearConfig): ColumnParallelLinear {
  return new ColumnParallelLinear(config);
}
