/** WebGPU devices of Node, each in a thread of its own: read at once. */
import * as tf from '@tensorflow/tfjs';
import {onDevice} from '../../src/device.js';
import {
  ColumnParallelLinear,
  DeviceError,
  DeviceLostError,
  DeviceRef,
  DistributedMLP,
  listDevices,
  MLP,
  ShardedLinear,
  ShardingStrategy,
  ShardManager,
} from '../../src/index.js';
import type {RemoteBackend} from '../../src/sharding/remote_backend.js';
import {caseNamed} from '../grid/cases.js';
import {openLinear} from '../grid/check_case.js';
import {randomX} from '../grid/layouts.js';
import {filesOf} from '../support/checkpoints.js';
import {rowErrors} from '../support/errors.js';
import {numbersOf} from '../support/numbers.js';

const NAMES = ['webgpu:70', 'webgpu:71'];
const backendOf = (name: string) => tf.findBackend(name) as RemoteBackend;

describe('webgpu devices in threads', () => {
  let manager: ShardManager;

  beforeAll(async () => {
    await tf.setBackend('wasm');
    await tf.setBackend('cpu');
    manager = await ShardManager.create({devices: [...NAMES, 'wasm']});
  });

  afterAll(() => {
    for (const name of NAMES) tf.removeBackend(name);
  });

  it('are listed as synchronous, with limits and their adapter', () => {
    const [a, b] = listDevices().filter(({name}) => NAMES.includes(name));
    expect(a?.isSynchronous).toBe(true);
    expect(a?.limits.maxBufferSize).toBeGreaterThan(2 ** 20);
    expect(a?.adapter?.vendor).not.toBe('');
    // Other specs of this process may hold devices of the same adapter.
    expect(b?.samePhysicalDeviceAs).toContain('webgpu:70');
    expect(tf.getBackend()).toBe('cpu');
  });

  it("run tf.js's ops, and hold nothing afterwards", async () => {
    const name = NAMES[0] as string;
    const before = backendOf(name).numDataIds();
    const results = onDevice(new DeviceRef(name), () =>
      tf.tidy(() => {
        const a = tf.tensor2d([1, 2, 3, 4], [2, 2]);
        const joined = tf.concat([a, tf.reshape(a, [2, -1])], 1);
        const [left, right] = tf.split(joined, 2, 1) as [tf.Tensor, tf.Tensor];
        const {indices} = tf.topk(joined, 1);
        const where = tf.where(tf.greater(left, 2), right, tf.zerosLike(right));
        return [tf.matMul(a, right as tf.Tensor2D), indices, where, tf.cast(tf.clone(a), 'int32'), tf.gather(joined, [1, 0])];
      }),
    );
    const read = await Promise.all(results.map((t) => t.data()));
    expect(read.map((v) => Array.from(v))).toEqual([
      [7, 10, 15, 22],
      [1, 1],
      [0, 0, 3, 4],
      [1, 2, 3, 4],
      [3, 4, 3, 4, 1, 2, 1, 2],
    ]);
    expect(Array.from(results[0]?.dataSync() ?? [])).toEqual([7, 10, 15, 22]);
    tf.dispose(results);
    expect(backendOf(name).numDataIds()).toBe(before);
    // Gone there too: a freed tensor cannot be read.
    expect(backendOf(name).memory().numBytesInGPU).toBe(0);
  });

  it('are shards for `forward`, as on one device', async () => {
    const devices = ['webgpu:70', 'wasm', 'webgpu:71'];
    for (const format of ['dense_f32_bias', 'gptq_b4_g64_asym_act_v2', 'ct_w8a8_int8']) {
      const c = caseNamed(format);
      const reference = await filesOf(c);
      const {layer} = await openLinear(c, reference.files);
      const x = tf.tensor2d(reference.x, [reference.x.length / c.inDim, c.inDim]);
      const expected = numbersOf(layer.forward(x));
      for (const strategy of [ShardingStrategy.rowwise(3), ShardingStrategy.columnwise(3)]) {
        const spread = ShardedLinear.of(layer, {devices, strategy});
        for (const y of [spread.forward(x), await spread.forwardAsync(x), ...spread.forwardEach(x)]) {
          expect(rowErrors(numbersOf(y), expected, c.outDim))
            .withContext(`${format} ${strategy.kind}`)
            .toBeLessThanOrEqual(1e-4);
        }
        const [back, whole] = [numbersOf(spread.weight.dequantize()), numbersOf(layer.weight.dequantize())];
        expect(rowErrors(back, whole, c.inDim)).toBe(0);
        spread.dispose();
      }
      x.dispose();
      layer.dispose();
    }
    const whole = new MLP({hiddenDim: 12, feedForwardLength: 21, hasBias: true});
    const mlp = new DistributedMLP({hiddenDim: 12, feedForwardLength: 21, hasBias: true, devices});
    const state = whole.stateDict();
    mlp.loadStateDict(state);
    const x = tf.tensor2d(randomX(2, 12), [2, 12]);
    expect(rowErrors(numbersOf(mlp.forward(x)), numbersOf(whole.forward(x)), 12)).toBeLessThanOrEqual(2e-6);
    tf.dispose([state, x]);
    whole.dispose();
    mlp.dispose();
  });

  it('say what failed there', () => {
    const device = new DeviceRef(NAMES[0] as string);
    const x = onDevice(device, () => tf.ones([2]));
    onDevice(device, () => {
      expect(() => tf.engine().runKernel('Transpose', {x}, {perm: null as unknown as number[]})).toThrowError(
        DeviceError,
        /webgpu:70.*TypeError/,
      );
    });
    // Of a product nobody waits, so the next reading tells; the device goes on.
    const bad = onDevice(device, () =>
      tf.engine().runKernel('QuantizedMatMul', {x, words: x}, {rowStart: 0, rowEnd: 2} as unknown as tf.NamedAttrMap),
    ) as tf.Tensor;
    expect(() => x.dataSync()).toThrowError(DeviceError, /webgpu:70.*TypeError/);
    expect(Array.from(x.dataSync())).toEqual([1, 1]);
    tf.dispose([x, bad]);
  });

  it('that end are named, and their shards go on elsewhere', async () => {
    const layer = new ColumnParallelLinear({inDim: 4, outDim: 9, hasBias: true, devices: manager.devices});
    await manager.manage(layer);
    const x = tf.tensor2d(randomX(2, 4), [2, 4]);
    const expected = numbersOf(layer.forward(x));
    backendOf('webgpu:71').dispose();
    const isNamed = (e: Error) => e instanceof DeviceLostError && e.device === 'webgpu:71';
    expect(() => layer.forward(x)).toThrowMatching(isNamed);
    await expectAsync(layer.forwardAsync(x)).toBeRejectedWithError(DeviceLostError, /webgpu:71/);
    await manager.evict('webgpu:71');
    expect(rowErrors(numbersOf(layer.forward(x)), expected, 9)).toBeLessThanOrEqual(1e-6);
    x.dispose();
    layer.dispose();
  });

  it('are refused where there is none', async () => {
    const create = ShardManager.create({devices: ['webgpu:72'], webgpu: {limits: {maxBufferSize: 2 ** 50}}});
    await expectAsync(create).toBeRejectedWithError(DeviceError, /webgpu:72.*maxBufferSize/);
    expect(tf.getBackend()).toBe('cpu');
  });
});
