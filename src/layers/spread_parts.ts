/** The projections of an MLP over several devices: gate and up by rows, down by columns, the same part of F on each. */
import {UnsupportedError} from '../errors.js';
import {emptyWords} from '../sharding/place.js';
import {cutRecord} from '../sharding/record.js';
import type {ShardDevice} from '../sharding/shard_device.js';
import {ShardingStrategy} from '../sharding/strategy.js';
import {Linear, type LinearConfig, type LinearInit} from './linear.js';
import type {LinearClass, MLPConfig, MLPParts} from './mlp.js';
import {devicesOf, overShards, ShardedLinear} from './sharded_linear.js';

/** Throws UnsupportedError for a class of projections that cannot be spread. */
export function checkSpreadClass(linearCls: MLPConfig['linearCls'], where: string): void {
  if (linearCls === undefined || linearCls === Linear || linearCls === Linear.className) return;
  throw new UnsupportedError({
    where: `${where}: linearCls`,
    expected: 'Linear, which can be spread',
    received: (linearCls as LinearClass | null)?.name ?? linearCls,
    remedy: 'Use MLP on one device.',
  });
}

/** For an MLP whose config names several devices; null for one. Throws as `checkSpreadClass`. */
export function partsFor({devices = [], linearCls}: MLPConfig, where: string): MLPParts | null {
  if (devices.length < 2) return null;
  checkSpreadClass(linearCls, where);
  return partsOver(devicesOf(devices, where), null, 1, null);
}

/** Projections spread over the devices; `unit` and `shares` as DistributeOptions has them. */
export function partsOver(devices: readonly ShardDevice[], shares: readonly number[] | null, unit: number, home: string | null): MLPParts {
  const n = devices.length;
  const rows = ShardingStrategy.rowwise(n, {unit}).withShares(shares);
  const strategies: Readonly<Record<string, ShardingStrategy>> = {
    gate_proj: rows,
    up_proj: rows,
    gate_up: ShardingStrategy.gateUp(n, 0).withShares(shares, {unit}),
    down_proj: ShardingStrategy.columnwise(n, {unit}).withShares(shares),
  };
  const refs = devices.map(({name}) => name);
  return {
    isSpread: true,
    make(child: string, {device: _device, ...config}: LinearConfig, init: LinearInit) {
      return new ShardedLinear({...config, devices: refs, strategy: strategies[child] as ShardingStrategy, home}, init);
    },
    half(stacked: Linear, which: 0 | 1, name: string) {
      const {spread} = stacked as ShardedLinear;
      const {inDim, hasBias, inputPrecision, inputQuantization} = stacked;
      const shards = spread.shards.map((shard, i) => {
        const own = shard.config.outDim / 2;
        return spread.deviceAt(i).window(shard, which * own, own, `${name}_shard_${i}`);
      });
      const outDim = stacked.outDim / 2;
      const {layout} = spread.config;
      const half =
        layout === null ? null : cutRecord({layout, words: emptyWords(layout)}, {rows: [[0, outDim]], columns: [[0, inDim]]}).layout;
      const config = {name, inDim, outDim, hasBias, layout: half, inputPrecision, inputQuantization};
      return overShards(config, {devices, strategy: rows, home, shards}, {of: stacked, begin: which * outDim});
    },
  };
}
