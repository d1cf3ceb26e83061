/** One shard on one device, and where its numbers come from when the device is gone. */
import {DeviceError} from '../errors.js';
import {DistributedMLP} from '../layers/distributed_mlp.js';
import type {Linear} from '../layers/linear.js';
import {MLP} from '../layers/mlp.js';
import type {ShardedLinear} from '../layers/sharded_linear.js';
import type {HostShard} from './local_shard.js';
import {biasOf} from './place.js';
import {cutRecord} from './record.js';
import type {PlacedShard, ShardDevice} from './shard_device.js';
import {type HostValues, readValuesAsync} from './shard_linear.js';
import type {ShardedCore} from './sharded_core.js';
import type {Cut} from './strategy.js';

/** Backends whose memory is the process's own: they are not lost. */
const HOST = ['cpu', 'wasm', 'tensorflow'];

type Restore = () => Promise<Linear | MLP>;

export class Placement {
  constructor(
    /** Name of the layer. */
    readonly layer: string,
    /** null of a single linear layer. */
    readonly projection: string | null,
    private readonly core: ShardedCore,
    private readonly index: number,
    private copy: HostShard | null,
    private readonly restore: Restore | null,
    private readonly move: (device: ShardDevice, values: HostShard) => void,
  ) {}

  get device(): string {
    return this.core.deviceAt(this.index).name;
  }

  get byteLength(): number {
    return this.isDisposed ? 0 : this.shard.byteLength;
  }

  get isDisposed(): boolean {
    return this.shard.isGone;
  }

  /** Throws DeviceError where the numbers are nowhere to be had. */
  async moveTo(device: ShardDevice): Promise<void> {
    const values = this.copy ?? (this.restore === null ? await this.readBack() : await this.fromLayer(this.restore));
    this.move(device, values);
    if (HOST.includes(device.name)) this.copy = null;
    else if (this.restore === null) this.copy = values;
  }

  private get shard(): PlacedShard {
    return this.core.shards[this.index] as PlacedShard;
  }

  private async readBack(): Promise<HostShard> {
    try {
      return await this.shard.readAsync();
    } catch (cause) {
      throw new DeviceError(
        {
          where: `${this.layer}${this.projection === null ? '' : `.${this.projection}`}, shard ${this.index} on '${this.device}'`,
          expected: 'a copy on the host, a way to restore it, or a device that answers',
          received: 'none of them',
          remedy: 'Pass restore: () => checkpoint.linear(module) to manage(), or keep the copy it makes by default.',
        },
        {cause},
      );
    }
  }

  private async fromLayer(restore: Restore): Promise<HostShard> {
    const whole = await restore();
    try {
      const cut = this.core.cuts[this.index] as Cut;
      const {record, bias}: HostValues = await readValuesAsync(projectionOf(whole, this.projection));
      return {...cutRecord(record, cut), bias: bias === null ? null : biasOf(bias, cut)};
    } finally {
      whole.dispose();
    }
  }
}

/** The layer's shards. Copies those that may be lost, unless there is a way to restore them. */
export async function placementsOf(layer: ShardedLinear | DistributedMLP, restore: Restore | null): Promise<Placement[]> {
  const cores: [string | null, ShardedCore][] = layer instanceof DistributedMLP ? layer.spreadProjections : [[null, layer.spread]];
  const placements: Placement[] = [];
  for (const [projection, core] of cores) {
    for (const [i, shard] of core.shards.entries()) {
      if (shard.isView) continue;
      const copy = restore !== null || HOST.includes(core.deviceAt(i).name) ? null : await shard.readAsync();
      const move = (device: ShardDevice, values: HostShard) =>
        layer instanceof DistributedMLP ? layer.moveShard(projection as string, i, device, values) : core.moveShard(i, device, values);
      placements.push(new Placement(layer.name, projection, core, i, copy, restore, move));
    }
  }
  return placements;
}

function projectionOf(layer: Linear | MLP, projection: string | null): Linear {
  if (!(layer instanceof MLP)) return layer;
  switch (projection) {
    case 'gate_up':
      return layer.gateUp as Linear;
    case 'gate_proj':
      return layer.gateProj;
    case 'up_proj':
      return layer.upProj;
    default:
      return layer.downProj;
  }
}
