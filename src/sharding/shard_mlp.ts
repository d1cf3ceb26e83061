/** The shards of an MLP as MLPs of their own. */
import type {DeviceRef} from '../device.js';
import {UnsupportedError} from '../errors.js';
import {fromSavedConfig} from '../layers/config.js';
import type {LinearConfig, LinearInit} from '../layers/linear_config.js';
import type {MLP, MLPConfig, MLPInit} from '../layers/mlp.js';
import {mlpConfigOf} from '../layers/mlp_config.js';
import {
  checkDevices,
  checkSetSharding,
  type HostValues,
  makeEach,
  readValues,
  readValuesAsync,
  shardParts,
  spreadAlready,
} from './shard_linear.js';
import {ShardingStrategy} from './strategy.js';

type Devices = readonly (DeviceRef | string)[];

type ShardClass = new (config: MLPConfig, init: MLPInit) => MLP;

/** Throws UnsupportedError for a strategy that an MLP does not have, and for a shard. */
export function checkMLPStrategy(mlp: MLP, strategy: ShardingStrategy): ShardingStrategy {
  checkSetSharding(mlp, strategy);
  if (mlp.isSpread) throw spreadAlready(mlp.name, 'an MLP on one device');
  if (strategy.kind === 'tensorParallel' || strategy.kind === 'replicate') return strategy;
  throw new UnsupportedError({
    where: `${mlp.name}: setSharding`,
    expected: 'tensorParallel or replicate',
    received: strategy.kind,
    remedy: 'Shard its projections one by one.',
  });
}

/** How a projection is cut, by its name. */
export function projectionStrategy(projection: string, strategy: ShardingStrategy): ShardingStrategy {
  const {numDevices, shares} = strategy;
  if (strategy.kind === 'replicate') return strategy;
  if (projection === 'gate_up') return ShardingStrategy.gateUp(numDevices, 0).withShares(shares);
  return (projection === 'down_proj' ? ShardingStrategy.columnwise(numDevices) : ShardingStrategy.rowwise(numDevices)).withShares(shares);
}

/** Throws ArgumentError without a strategy, with another number of devices, or more than there is of the inner width. */
export function shardMLP(mlp: MLP, strategy: ShardingStrategy | null, devices: Devices): MLP[] {
  const checked = checkDevices(mlp, strategy, devices);
  return makeShards(
    mlp,
    mlp.projections().map(([, layer]) => readValues(layer)),
    checked,
    devices,
  );
}

/** As shardMLP, where the weights lie on a device that cannot be read synchronously. */
export async function shardMLPAsync(mlp: MLP, strategy: ShardingStrategy | null, devices: Devices): Promise<MLP[]> {
  const checked = checkDevices(mlp, strategy, devices);
  return makeShards(mlp, await Promise.all(mlp.projections().map(([, layer]) => readValuesAsync(layer))), checked, devices);
}

function makeShards(mlp: MLP, values: readonly HostValues[], strategy: ShardingStrategy, devices: Devices): MLP[] {
  const parts = mlp
    .projections()
    .map(([child, layer], i) => [child, shardParts(layer, values[i] as HostValues, projectionStrategy(child, strategy))] as const);
  const own = mlp.constructor as ShardClass & {shardClass?: ShardClass};
  const Cls = own.shardClass ?? own;
  // Shards of another class than the MLP's are MLPs.
  const base = own.shardClass === undefined ? fromSavedConfig<MLPConfig>(mlp.getConfig()) : mlpConfigOf(mlp);
  return makeEach(devices, (device, i) => {
    const children: Record<string, LinearConfig> = {};
    const init: Record<string, LinearInit> = {};
    for (const [child, list] of parts) {
      const part = list[i] as (typeof list)[number];
      children[child] = {...part.config, device};
      init[child] = part.init;
    }
    const inner = (children.down_proj as LinearConfig).inDim;
    return new Cls({...base, name: `${mlp.name}_shard_${i}`, feedForwardLength: inner, devices: [device], children}, init);
  });
}
