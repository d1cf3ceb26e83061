/** How much of a weight each device is to hold. */
import * as tf from '@tensorflow/tfjs';
import {quantizedMatMul} from '../../kernels/contract.js';
import {grid, type WeightLayout} from '../../kernels/layout.js';
import {QuantizedWeight} from '../../kernels/quantized_weight.js';
import {allocateWords} from '../../kernels/words.js';
import {DeviceRef, onDevice} from '../device.js';
import {ArgumentError} from '../errors.js';
import {listDevices} from './list_devices.js';

/** even: the same. memory: in proportion to what each can hold. measured: in proportion to speed, by a trial product. */
export type Balance = 'even' | 'memory' | 'measured';

export interface BalanceOptions {
  /** Bytes by device name, for 'memory'. Default: what the device says of itself. */
  memory?: Readonly<Record<string, number>>;
  /** Milliseconds of a unit of work on a device, for 'measured'. Default: the median of a few products with a 4-bit weight [512, 512]. */
  measure?: (device: string) => Promise<number>;
}

/** Shares for the devices, in order; null: evenly. Throws ArgumentError where a device's memory is not known. */
export async function sharesFor(devices: readonly string[], balance: Balance, options: BalanceOptions = {}): Promise<number[] | null> {
  switch (balance) {
    case 'even':
      return null;
    case 'memory':
      return memoryShares(devices, options.memory ?? {});
    case 'measured': {
      const measure = options.measure ?? measureDevice;
      if (typeof measure !== 'function') {
        throw new ArgumentError({where: 'ShardManager: measure', expected: 'a function of a device name', received: String(measure)});
      }
      const times = new Map<string, number>();
      // One after the other: they may share cores.
      for (const name of devices) if (!times.has(name)) times.set(name, checkTime(name, await measure(name)));
      // A device that comes twice has half of itself for each.
      const count = (name: string) => devices.filter((other) => other === name).length;
      return devices.map((name) => 1 / ((times.get(name) as number) * count(name)));
    }
    default:
      throw new ArgumentError({where: 'ShardManager: balance', expected: "'even', 'memory' or 'measured'", received: String(balance)});
  }
}

function checkTime(device: string, milliseconds: number): number {
  if (Number.isFinite(milliseconds) && milliseconds > 0) return milliseconds;
  throw new ArgumentError({where: `ShardManager: measure('${device}')`, expected: 'milliseconds above 0', received: String(milliseconds)});
}

function memoryShares(devices: readonly string[], given: Readonly<Record<string, number>>): number[] {
  const known = new Map(listDevices().map(({name, memoryBytes}) => [name, memoryBytes]));
  return devices.map((name) => {
    const bytes = given[name] ?? known.get(name) ?? null;
    if (Number.isFinite(bytes) && (bytes as number) > 0) return (bytes as number) / devices.filter((other) => other === name).length;
    throw new ArgumentError({
      where: `balance 'memory': ${name}`,
      expected: 'a number of bytes',
      received: String(bytes),
      remedy: `Pass memory: {'${name}': bytes}.`,
    });
  });
}

const SIZE = 512;
const ROWS = 4;
const TRIALS = 5;

/** Milliseconds of a product x [4, 512] . W^T, W 4 bits [512, 512] in groups of 32, result read; median of 5 after one to warm up. */
export async function measureDevice(device: string): Promise<number> {
  const layout: WeightLayout = {
    outDim: SIZE,
    inDim: SIZE,
    planes: [4],
    decode: {kind: 'integer'},
    zero: {kind: 'constant', value: 8},
    scales: [{grid: grid(SIZE, SIZE, 1, 32), type: 'float16', divide: false}],
    offsets: [],
    ordered: false,
    indexed: false,
  };
  const ref = new DeviceRef(device);
  const weight = onDevice(ref, () => QuantizedWeight.fromWords(layout, allocateWords(layout)));
  const x = onDevice(ref, () => tf.ones([ROWS, SIZE]));
  const times: number[] = [];
  try {
    for (let i = 0; i <= TRIALS; i++) {
      const start = performance.now();
      const y = onDevice(ref, () => quantizedMatMul(x, weight));
      await y.data();
      y.dispose();
      if (i > 0) times.push(performance.now() - start);
    }
  } finally {
    x.dispose();
    weight.dispose();
  }
  // A clock that browsers coarsen may say 0.
  return Math.max(times.sort((a, b) => a - b)[TRIALS >> 1] as number, 0.01);
}
