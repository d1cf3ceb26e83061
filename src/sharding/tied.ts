/** Shards over a weight that another layer owns: windows where it lies, copies of their rows elsewhere. */
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {UnsupportedError} from '../errors.js';
import type {CoreConfig} from '../layers/core_config.js';
import type {DenseWeight} from '../layers/dense_weight.js';
import {LocalDevice} from './device.js';
import {LocalShard} from './local_shard.js';
import {biasOf} from './place.js';
import {cutRecord, type HostRecord, recordOf} from './record.js';
import type {PlacedShard, ShardDevice} from './shard_device.js';
import {ShardedWeight} from './sharded_weight.js';
import {lengthOf} from './split.js';
import type {Cut} from './strategy.js';
import {backendNameOf} from './transfer.js';

/** The owner's weight as a layout: null for float32. Throws UnsupportedError for a window on a larger one. */
export function layoutOfTied(weight: QuantizedWeight | DenseWeight | ShardedWeight, where: string): CoreConfig['layout'] {
  if (weight instanceof ShardedWeight) return weight.layoutOfWhole;
  if (!(weight instanceof QuantizedWeight)) return null;
  if (weight.outDim === weight.layout.outDim) return weight.layout;
  throw new UnsupportedError({
    where: `${where}: tiedWeight`,
    expected: 'a whole weight',
    received: `rows ${weight.rowStart} to ${weight.rowEnd} of one of ${weight.layout.outDim}`,
    remedy: 'Tie the weight of the whole stacked layer.',
  });
}

/** One shard a cut, each of whole rows. */
export function tiedShards(
  weight: QuantizedWeight | DenseWeight | ShardedWeight,
  config: CoreConfig,
  devices: readonly ShardDevice[],
  cuts: readonly Cut[],
): PlacedShard[] {
  let record: HostRecord | null = null;
  const placed: PlacedShard[] = [];
  const {words: _words, bias, ...rest} = config;
  try {
    cuts.forEach((cut, i) => {
      const device = devices[i] as ShardDevice;
      const own = bias === undefined || !config.hasBias ? null : biasOf(bias, cut);
      const base: CoreConfig = {
        ...rest,
        name: `${config.name}_shard_${i}`,
        outDim: lengthOf(cut.rows),
        inputQuantization: null,
        scaleShape: null,
        float8: null,
        activation: null,
        origin: null,
        trainable: true,
        ...(own === null ? {} : {bias: own}),
      };
      const view = viewOf(weight, device, cut, i);
      if (view !== null) {
        placed.push(device.place({...base, view}));
        return;
      }
      record ??= readRecord(weight);
      const part = cutRecord(record, cut);
      placed.push(device.place({...base, layout: config.layout === null ? null : part.layout, words: part.words}));
    });
  } catch (error) {
    placed.forEach((shard, i) => devices[i]?.release(shard));
    throw error;
  }
  return placed;
}

/** The rows where they lie, or null where they lie on another device, or on one that is no backend of this process. */
function viewOf(
  weight: QuantizedWeight | DenseWeight | ShardedWeight,
  device: ShardDevice,
  cut: Cut,
  i: number,
): CoreConfig['view'] | null {
  if (!(device instanceof LocalDevice)) return null;
  const [begin] = cut.rows[0] as readonly [number, number];
  if (weight instanceof ShardedWeight) {
    const shard = weight.shardAt(i);
    const same = JSON.stringify(weight.cuts[i]) === JSON.stringify(cut) && shard?.config.device?.backendName === device.name;
    return same && shard instanceof LocalShard ? {of: {weight: shard.weight, bias: null}, begin: 0} : null;
  }
  const tensor = weight instanceof QuantizedWeight ? weight.words : weight.tensor;
  return backendNameOf(tensor) === device.name ? {of: {weight, bias: null}, begin} : null;
}

function readRecord(weight: QuantizedWeight | DenseWeight | ShardedWeight): HostRecord {
  if (weight instanceof ShardedWeight) return weight.toRecord();
  return recordOf(weight, (weight instanceof QuantizedWeight ? weight.words : weight.tensor).dataSync());
}
