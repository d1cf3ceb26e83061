/** ShardManager: which devices there are, how much each gets, who holds what, and what happens when one is gone. */
import {checkOptions} from '../arguments.js';
import {type DeviceRef, nameOf} from '../device.js';
import {ArgumentError, DeviceError} from '../errors.js';
import {DistributedMLP} from '../layers/distributed_mlp.js';
import {Linear} from '../layers/linear.js';
import {MLP} from '../layers/mlp.js';
import {devicesOf, ShardedLinear, type SpreadOptions} from '../layers/sharded_linear.js';
import {type Balance, type BalanceOptions, sharesFor} from './balance.js';
import {deviceNamed} from './device.js';
import {type DeviceInfo, listDevices} from './list_devices.js';
import {type OpenWebGPUOptions, openDevices} from './open_devices.js';
import {type Placement, placementsOf} from './placement.js';
import {ShardingStrategy} from './strategy.js';

export interface ShardManagerOptions extends BalanceOptions {
  /** By backend name; the same one may come several times. 'webgpu', 'webgpu:0', 'webgpu:1' ... are opened where they are not registered. */
  devices: readonly (DeviceRef | string)[];
  /** Default 'even'. */
  balance?: Balance;
  /** For webgpu devices that the manager opens: which adapter (`powerPreference`), limits, tf.js's class in a bundle. */
  webgpu?: OpenWebGPUOptions;
}

const OPTIONS = ['devices', 'balance', 'memory', 'measure', 'webgpu'];

export interface ManageOptions {
  /**
   * Where lost shards come from: the same layer again, from its file, on a device that can be read (`() => checkpoint.linear(module, {device: 'cpu'})`);
   * the manager disposes it. Default: a copy on the host of what lies on GPUs, made now. Call `manage` again after training or loading state.
   */
  restore?: () => Promise<Linear | MLP>;
}

/** What one device holds. */
export interface DeviceReport {
  readonly name: string;
  /** Bytes of shards that the manager knows. */
  readonly bytes: number;
  readonly shards: readonly {readonly layer: string; readonly projection: string | null; readonly bytes: number}[];
}

export interface ManagerReport {
  readonly devices: readonly DeviceReport[];
  /** In words: names that are the same physical device, adapters. */
  readonly notes: readonly string[];
}

/**
 * Devices to spread layers over. Layers themselves need no manager; it opens devices, says how to divide weights (`shares`), keeps count of who
 * holds what, and moves the shards of a lost device.
 *
 * ```js
 * const manager = await tfl.ShardManager.create({devices: ['cpu', 'cpu']});
 * const layer = await manager.spread(new tfl.Linear({inDim: 4, outDim: 6}));
 * manager.report().devices.map((device) => [device.name, device.bytes]); // [["cpu", 96]]
 * ```
 */
export class ShardManager {
  private readonly placements = new Map<ShardedLinear | DistributedMLP, Placement[]>();

  private constructor(
    private names: string[],
    /** Parts in proportion, one a device in their order; null: even ones. For `shares` of layers and `withShares` of strategies. */
    readonly shares: readonly number[] | null,
  ) {}

  /** Throws ArgumentError for no devices or an unknown memory, DeviceError where a device cannot be opened. */
  static async create(options: ShardManagerOptions): Promise<ShardManager> {
    checkOptions('ShardManager', options, OPTIONS);
    const names = devicesOf(options.devices, 'ShardManager').map(({name}) => name);
    await openDevices(names, options.webgpu ?? {});
    return new ShardManager(names, await sharesFor(names, options.balance ?? 'even', options));
  }

  /** Device names in order, as layers take them. Those that were evicted are gone. */
  get devices(): readonly string[] {
    return this.names;
  }

  /** Every backend of this machine, with limits and adapters. */
  listDevices(): DeviceInfo[] {
    return listDevices();
  }

  /**
   * A layer on one device, spread over the manager's by rows (or `strategy`) and its shares, and managed; an MLP as a DistributedMLP, for which
   * there is no other strategy. The layer keeps its own weight; dispose it.
   */
  spread(layer: Linear, options?: Partial<Omit<SpreadOptions, 'devices'>> & ManageOptions): Promise<ShardedLinear>;
  spread(layer: MLP, options?: Pick<SpreadOptions, 'home'> & ManageOptions): Promise<DistributedMLP>;
  async spread(
    layer: Linear | MLP,
    options: Partial<Omit<SpreadOptions, 'devices'>> & ManageOptions = {},
  ): Promise<ShardedLinear | DistributedMLP> {
    checkOptions('ShardManager: spread', options, ['strategy', 'home', 'restore']);
    if (!(layer instanceof MLP || layer instanceof Linear)) {
      throw new ArgumentError({where: 'ShardManager: spread', expected: 'a Linear or an MLP', received: String(layer)});
    }
    const {names: devices, shares} = this;
    const {strategy = ShardingStrategy.rowwise(devices.length).withShares(shares), home = null, restore} = options;
    const spread =
      layer instanceof MLP
        ? await DistributedMLP.ofAsync(layer, {devices, shares, home})
        : await ShardedLinear.ofAsync(layer, {devices, strategy, home});
    await this.manage(spread, restore === undefined ? {} : {restore});
    return spread;
  }

  /** Takes note of a spread layer, so that its shards can be moved and counted. */
  async manage(layer: ShardedLinear | DistributedMLP, options: ManageOptions = {}): Promise<void> {
    if (!(layer instanceof ShardedLinear || layer instanceof DistributedMLP)) {
      const remedy = 'Use spread(layer).';
      throw new ArgumentError({where: 'ShardManager: manage', expected: 'a layer that is spread', received: String(layer), remedy});
    }
    checkOptions('ShardManager: manage', options, ['restore']);
    this.placements.set(layer, await placementsOf(layer, options.restore ?? null));
  }

  /** Forgets a layer and the copies made for it. */
  release(layer: ShardedLinear | DistributedMLP): void {
    this.placements.delete(layer);
  }

  /**
   * The device is gone, or is to be left alone: its shards go to the others, each to the one that holds least (or to `to`), from the copy on the
   * host, from `restore`, or from the device itself. The next call gives the right numbers.
   * Throws DeviceError where no device is left or the values are nowhere; what was moved until then stays moved.
   */
  async evict(device: DeviceRef | string, to?: DeviceRef | string): Promise<void> {
    const gone = nameOf(device);
    const left = this.names.filter((name) => name !== gone);
    const target = to === undefined ? null : String(to);
    if (left.length === 0 && target === null) {
      throw new DeviceError({where: `evict '${gone}'`, expected: 'another device', received: 'none', remedy: 'Pass one to move to.'});
    }
    const bytes = new Map(left.map((name) => [name, this.bytesOn(name)]));
    const lightest = () => [...bytes].reduce((a, b) => (b[1] < a[1] ? b : a))[0];
    for (const list of this.live()) {
      for (const placement of list.filter((p) => p.device === gone)) {
        const next = target ?? lightest();
        await placement.moveTo(deviceNamed(next));
        bytes.set(next, (bytes.get(next) ?? 0) + placement.byteLength);
      }
    }
    this.names = target !== null && !left.includes(target) ? [...left, target] : left;
  }

  /** Who holds what, and what is worth knowing of the devices. */
  report(): ManagerReport {
    const all = this.live().flat();
    const names = [...new Set([...this.names, ...all.map((p) => p.device)])];
    return {
      devices: names.map((name) => {
        const own = all.filter((p) => p.device === name);
        return {
          name,
          bytes: own.reduce((sum, p) => sum + p.byteLength, 0),
          shards: own.map(({layer, projection, byteLength}) => ({layer, projection, bytes: byteLength})),
        };
      }),
      notes: notesOn(names),
    };
  }

  private bytesOn(name: string): number {
    return this.live()
      .flat()
      .reduce((sum, p) => sum + (p.device === name ? p.byteLength : 0), 0);
  }

  /** Layers that are disposed need no device. */
  private live(): Placement[][] {
    for (const [layer, list] of this.placements) if (list.some((p) => p.isDisposed)) this.placements.delete(layer);
    return [...this.placements.values()];
  }
}

function notesOn(names: readonly string[]): string[] {
  const infos = listDevices().filter(({name}) => names.includes(name));
  const adapters = infos.flatMap(({name, adapter}) => {
    if (adapter === null) return [];
    const words =
      [adapter.vendor, adapter.architecture, adapter.description].filter(Boolean).join(' ') || 'an adapter that does not say what it is';
    return [`${name} runs on ${words}${adapter.isFallback === true ? ' (software)' : ''}.`];
  });
  const told = new Set<string>();
  const same = infos.flatMap(({name, backend, samePhysicalDeviceAs}) => {
    const others = samePhysicalDeviceAs.filter((other) => names.includes(other) && !told.has(other));
    told.add(name);
    const what = backend === 'cpu' || backend === 'wasm' ? 'the same processor' : 'the same physical GPU';
    return others.map((other) => `${name} and ${other} are ${what}: two of them hold more, but are not faster.`);
  });
  return [...adapters, ...same];
}
