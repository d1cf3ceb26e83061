/** ShardManager: lists, divides, counts, and moves the shards of a device that is gone. */
import * as tf from '@tensorflow/tfjs';
import {
  ArgumentError,
  DeviceError,
  DeviceLostError,
  DistributedMLP,
  Linear,
  listDevices,
  MLP,
  memory,
  openCheckpoint,
  ShardedLinear,
  ShardingStrategy,
  ShardManager,
} from '../../src/index.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {randomX} from '../grid/layouts.js';
import {packedMLP} from '../layers/layers_support.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {type Losable, losableDevice} from '../support/losable.js';
import {numbersOf} from '../support/numbers.js';

beforeAll(async () => {
  await tf.setBackend('wasm');
  await tf.setBackend('cpu');
});

/** Runs `f` with a device that can be lost. */
async function withLosable(f: (device: Losable) => Promise<void>): Promise<void> {
  const device = await losableDevice();
  try {
    await f(device);
  } finally {
    device.remove();
  }
}

describe('ShardManager', () => {
  it('lists what there is', () => {
    const devices = listDevices();
    const cpu = devices.find(({name}) => name === 'cpu');
    expect(cpu).toEqual(jasmine.objectContaining({backend: 'cpu', isStarted: true, isSynchronous: true, adapter: null}));
    const wasm = devices.find(({name}) => name === 'wasm');
    expect(wasm?.memoryBytes).toBeLessThanOrEqual(2 ** 32);
    expect(wasm?.samePhysicalDeviceAs).toContain('cpu');
  });

  it('divides evenly, by memory, or by measured speed', async () => {
    const devices = ['cpu', 'wasm', 'cpu'];
    expect((await ShardManager.create({devices})).shares).toBeNull();
    const byMemory = await ShardManager.create({devices, balance: 'memory', memory: {cpu: 4000, wasm: 6000}});
    expect(byMemory.shares).toEqual([2000, 6000, 2000]);
    const asked: string[] = [];
    const measure = async (name: string) => {
      asked.push(name);
      return name === 'cpu' ? 4 : 2;
    };
    const measured = await ShardManager.create({devices, balance: 'measured', measure});
    expect(measured.shares).toEqual([0.125, 0.5, 0.125]);
    expect(asked).toEqual(['cpu', 'wasm']);
    const layer = new Linear({inDim: 2, outDim: 12});
    const spread = await measured.spread(layer);
    expect(spread.places.map(({rows}) => rows)).toEqual([[[0, 2]], [[2, 10]], [[10, 12]]]);
    // A trial of its own, on each of them.
    const own = await ShardManager.create({devices, balance: 'measured'});
    expect(own.shares?.length).toBe(3);
    expect(own.shares?.every((share) => share > 0 && Number.isFinite(share))).toBe(true);
    layer.dispose();
    spread.dispose();
    const unknown = await losableDevice();
    await expectAsync(ShardManager.create({devices: [unknown.name], balance: 'memory'})).toBeRejectedWithError(
      ArgumentError,
      /a number of bytes/,
    );
    unknown.remove();
  });

  it('honours the choice of devices, and reports who holds what', async () => {
    const manager = await ShardManager.create({devices: ['wasm', 'cpu']});
    const c = caseNamed('gptq_b4_g32_asym_v1_bias');
    const {layer} = await openLinear(c, (await filesOf(c)).files);
    const before = memory().codesBytesByBackend;
    const spread = await manager.spread(layer);
    const mlp = new DistributedMLP({hiddenDim: 4, feedForwardLength: 6, devices: manager.devices});
    await expectAsync(manager.manage(mlp, null as never)).toBeRejectedWithError(ArgumentError, /manage.*options: restore/);
    await manager.manage(mlp);
    const {devices, notes} = manager.report();
    expect(devices.map(({name}) => name)).toEqual(['wasm', 'cpu']);
    expect(devices.map(({bytes}) => bytes)).toEqual([0, 1].map((i) => (spread.places[i]?.byteLength ?? 0) + 3 * 3 * 4 * 4));
    expect(devices[0]?.shards.map(({layer: name, projection}) => [name, projection])).toEqual([
      [spread.name, null],
      [mlp.name, 'gate_proj'],
      [mlp.name, 'up_proj'],
      [mlp.name, 'down_proj'],
    ]);
    expect(notes.join()).toMatch(/(wasm and cpu|cpu and wasm) are the same processor/);
    // Half of the words are where they were asked to be.
    expect((memory().codesBytesByBackend.wasm ?? 0) - (before.wasm ?? 0)).toBe((spread.places[0]?.byteLength ?? 0) - 4 * (c.outDim / 2));
    mlp.dispose();
    expect(manager.report().devices.map(({shards}) => shards.length)).toEqual([1, 1]);
    manager.release(spread);
    expect(manager.report().devices.map(({bytes}) => bytes)).toEqual([0, 0]);
    layer.dispose();
    spread.dispose();
  });

  it('spreads an MLP by its shares', async () => {
    const manager = await ShardManager.create({devices: ['cpu', 'wasm'], balance: 'memory', memory: {cpu: 1, wasm: 2}});
    const mlp = new MLP({hiddenDim: 4, feedForwardLength: 96, hasBias: true});
    const spread = await manager.spread(mlp);
    expect((spread.downProj as ShardedLinear).places.map(({columns}) => columns)).toEqual([[[0, 32]], [[32, 96]]]);
    expect(manager.report().devices.map(({shards}) => shards.length)).toEqual([3, 3]);
    const x = tf.tensor2d(randomX(2, 4), [2, 4]);
    expect(rowErrors(numbersOf(spread.forward(x)), numbersOf(mlp.forward(x)), 4)).toBeLessThanOrEqual(1e-6);
    x.dispose();
    mlp.dispose();
    spread.dispose();
  });

  it('refuses no devices, and names that are not there', async () => {
    await expectAsync(ShardManager.create({devices: []})).toBeRejectedWithError(ArgumentError);
    await expectAsync(ShardManager.create({devices: ['nowhere']})).toBeRejectedWithError(DeviceError, /registered/);
    expect(tf.getBackend()).toBe('cpu');
  });

  it('refuses what it would have to guess', async () => {
    const any = (value: unknown) => value as never;
    const devices = ['cpu', 'wasm'];
    const slow = async () => Number.NaN;
    const wrong: [object | undefined, RegExp][] = [
      [undefined, /an object of options/],
      [{devices: 'cpu'}, /a non-empty list of devices.*Received: cpu/],
      [{devices, balanced: 'even'}, /'balanced'. Did you mean 'balance'/],
      [{devices, balance: 'speed'}, /'even', 'memory' or 'measured'.*speed/],
      [{devices, balance: 'measured', measure: 3}, /measure: expected a function/],
      [{devices, balance: 'measured', measure: slow}, /measure\('cpu'\): expected milliseconds above 0. Received: NaN/],
      [{devices, balance: 'memory', memory: {cpu: Number.POSITIVE_INFINITY, wasm: 1}}, /cpu: expected a number of bytes/],
    ];
    for (const [options, message] of wrong)
      await expectAsync(ShardManager.create(any(options))).toBeRejectedWithError(ArgumentError, message);
    const manager = await ShardManager.create({devices});
    const layer = new Linear({inDim: 4, outDim: 3});
    await expectAsync(manager.spread(any(null))).toBeRejectedWithError(ArgumentError, /a Linear or an MLP/);
    await expectAsync(manager.spread(layer, any({strategies: 1}))).toBeRejectedWithError(ArgumentError, /'strategies'/);
    await expectAsync(manager.manage(any(layer))).toBeRejectedWithError(ArgumentError, /a layer that is spread.*Use spread/);
    await expectAsync(manager.evict(any(undefined))).toBeRejectedWithError(ArgumentError, /a backend's name/);
    layer.dispose();
  });
});

describe('a device that is gone', () => {
  it('is named by the error, and its shards go on elsewhere from the copy on the host', async () => {
    await withLosable(async (device) => {
      const c = caseNamed('gptq_b4_g64_asym_act_v2');
      const {layer} = await openLinear(c, (await filesOf(c)).files);
      const x = tf.tensor2d(randomX(2, c.inDim), [2, c.inDim]);
      const expected = numbersOf(layer.forward(x));
      for (const strategy of [ShardingStrategy.rowwise(3), ShardingStrategy.columnwise(3)]) {
        const manager = await ShardManager.create({devices: ['cpu', device.name, 'wasm']});
        const spread = await manager.spread(layer, {strategy});
        expect(rowErrors(numbersOf(spread.forward(x)), expected, c.outDim)).toBeLessThanOrEqual(1e-4);
        if (strategy.axis === 1) {
          layer.dispose();
          const tensors = tf.memory().numTensors;
          device.lose();
          for (const call of [() => spread.forward(x), () => spread.forwardEach(x)]) {
            expect(call).toThrowMatching(
              (e) => e instanceof DeviceLostError && e.device === device.name && /the device is gone/.test(e.message),
            );
          }
          await expectAsync(spread.forwardAsync(x)).toBeRejectedWithError(DeviceLostError, new RegExp(device.name));
          expect(tf.memory().numTensors).toBe(tensors);
          expect(memory().codesBytesByBackend[device.name]).toBe(spread.places[1]?.byteLength);
          await manager.evict(device.name);
          expect(memory().codesBytesByBackend[device.name]).toBeUndefined();
          expect(manager.devices).toEqual(['cpu', 'wasm']);
          expect(spread.places.map((place) => place.device)).not.toContain(device.name);
          expect(rowErrors(numbersOf(spread.forward(x)), expected, c.outDim)).toBeLessThanOrEqual(1e-4);
          expect(rowErrors(numbersOf(await spread.forwardAsync(x)), expected, c.outDim)).toBeLessThanOrEqual(1e-4);
          expect(tf.memory().numTensors).toBe(tensors);
        }
        spread.dispose();
      }
      x.dispose();
    });
  });

  it('gives its shards to the device that holds least, or to a given one', async () => {
    await withLosable(async (device) => {
      const manager = await ShardManager.create({devices: ['cpu', device.name, 'wasm', device.name]});
      const layer = new Linear({inDim: 2, outDim: 8});
      const strategy = ShardingStrategy.rowwise(4).withShares([4, 1, 2, 1]);
      const spread = await manager.spread(layer, {strategy});
      device.lose();
      await manager.evict(device.name);
      // 4, 2 and then 3 rows: wasm twice.
      expect(spread.places.map((place) => place.device)).toEqual(['cpu', 'wasm', 'wasm', 'wasm']);
      await manager.evict('cpu', 'wasm');
      expect(manager.devices).toEqual(['wasm']);
      await expectAsync(manager.evict('wasm')).toBeRejectedWithError(DeviceError, /another device/);
      const x = tf.ones([1, 2]);
      expect(rowErrors(numbersOf(spread.forward(x)), numbersOf(layer.forward(x)), 8)).toBeLessThanOrEqual(1e-6);
      x.dispose();
      layer.dispose();
      spread.dispose();
    });
  });

  it('gets its shards from the file where there is no copy, an MLP with its windows too', async () => {
    await withLosable(async (device) => {
      const c = caseNamed('gguf_q4_k');
      const reference = await filesOf(c);
      const checkpoint = await openCheckpoint(reference.files);
      const whole = await checkpoint.linear(c.module);
      const manager = await ShardManager.create({devices: ['cpu', device.name]});
      let restored = 0;
      const restore = () => {
        restored++;
        return checkpoint.linear(c.module, {device: 'cpu'});
      };
      const spread = await manager.spread(whole, {restore});
      device.lose();
      await manager.evict(device.name);
      expect(restored).toBe(1);
      const [a, b] = [spread.weight.dequantize(), whole.weight.dequantize()];
      expect(b.dataSync()).toEqual(a.dataSync());
      tf.dispose([a, b]);
      whole.dispose();
      spread.dispose();
      await checkpoint.close();
    });
    await withLosable(async (device) => {
      const manager = await ShardManager.create({devices: ['cpu', device.name]});
      const mlp = new DistributedMLP({hiddenDim: 4, feedForwardLength: 6, devices: manager.devices, hasBias: true});
      await manager.manage(mlp);
      const x = tf.tensor2d(randomX(2, 4), [2, 4]);
      const expected = numbersOf(mlp.forward(x));
      device.lose();
      expect(() => mlp.forward(x)).toThrowError(DeviceLostError);
      await manager.evict(device.name);
      expect(rowErrors(numbersOf(mlp.forward(x)), expected, 4)).toBeLessThanOrEqual(1e-6);
      x.dispose();
      mlp.dispose();
    });
  });

  it('takes the halves of a stacked projection along', async () => {
    const whole = await packedMLP({bias: true});
    const manager = await ShardManager.create({devices: ['cpu', 'wasm']});
    const mlp = await manager.spread(whole);
    expect(mlp.gateUp).not.toBeNull();
    const x = tf.tensor2d(randomX(2, mlp.hiddenDim), [2, mlp.hiddenDim]);
    const halves = () => [mlp.gateProj, mlp.upProj].map((half) => numbersOf(half.forward(x)));
    const before = halves();
    await manager.evict('wasm');
    halves().forEach((half, i) => {
      expect(rowErrors(half, before[i] as Float32Array, mlp.feedForwardLength)).toBeLessThanOrEqual(1e-4);
    });
    expect([mlp.gateProj, mlp.upProj].flatMap((half) => (half as ShardedLinear).places.map((place) => place.device))).toEqual([
      'cpu',
      'cpu',
      'cpu',
      'cpu',
    ]);
    x.dispose();
    for (const each of [whole, mlp]) each.dispose();
  });

  it('says so where the numbers are nowhere', async () => {
    await withLosable(async (device) => {
      const manager = await ShardManager.create({devices: ['cpu', 'wasm']});
      const layer = new Linear({inDim: 2, outDim: 4});
      const spread = ShardedLinear.of(layer, {devices: ['cpu', device.name]});
      // Managed while on devices of the process, then moved by hand where no copy was made.
      await manager.manage(spread, {restore: async () => Promise.reject(new Error('no file'))});
      device.lose();
      await expectAsync(manager.evict(device.name)).toBeRejectedWithError('no file');
      layer.dispose();
      spread.dispose();
    });
  });
});
